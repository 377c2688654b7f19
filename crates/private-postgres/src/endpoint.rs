//! Where the cluster listens, and how to reach it.
//!
//! A socket in a folder that only its user enters, without a password. Where the socket's path would be too long for the
//! system: a free port of 127.0.0.1, with a password, because there every user of the machine can connect.
//!
//! Invariant: exactly one of the two is open, and it stays the same as long as the service runs. Leaves nothing behind.

use std::net::{Ipv4Addr, TcpListener};
use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::ClusterError;
use super::folder::Folder;

pub(super) const SUPERUSER: &str = "postgres";
/// The service's database.
pub(super) const DATABASE: &str = "account_opening";

/// Part of the socket's name. Its folder is ours alone, so it never collides.
const SOCKET_PORT: u16 = 5432;
/// The longest path that fits in a socket's address, without the zero that ends it.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Where the cluster listens. Not `Debug`: it may hold a password.
#[derive(Clone)]
pub(super) enum Endpoint {
    Socket { folder: String },
    Tcp { port: u16, password: String },
}

impl Endpoint {
    pub(super) fn choose(folder: &Folder) -> Result<Self, ClusterError> {
        let socket = folder.socket();
        let path = socket.join(format!(".s.PGSQL.{SOCKET_PORT}"));
        if let Some(folder) = socket.to_str()
            && path.as_os_str().len() <= LONGEST_SOCKET_PATH
        {
            return Ok(Self::Socket { folder: folder.to_owned() });
        }
        let file = folder.password();
        let password = std::fs::read_to_string(&file).map_err(ClusterError::at(&file))?.trim().to_owned();
        // Free now; should somebody take it before Postgres does, the start is tried again with another.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(|source| ClusterError::Spawn { what: "a listener".to_owned(), source })?.port();
        tracing::info!(port, "the socket's path is too long: PostgreSQL listens on 127.0.0.1 with a password");
        Ok(Self::Tcp { port, password })
    }

    /// The settings that make Postgres listen here and nowhere else.
    pub(super) fn settings(&self) -> [(&'static str, String); 4] {
        let (addresses, port, folders) = match self {
            // A list, in which a quoted name may hold commas.
            Self::Socket { folder } => (String::new(), SOCKET_PORT, format!("\"{}\"", folder.replace('"', "\"\""))),
            Self::Tcp { port, .. } => (Ipv4Addr::LOCALHOST.to_string(), *port, String::new()),
        };
        [
            ("listen_addresses", addresses),
            ("port", port.to_string()),
            ("unix_socket_directories", folders),
            ("unix_socket_permissions", "0700".to_owned()),
        ]
    }

    /// The URL of `database`. It may hold the password.
    pub(super) fn url(&self, database: &str) -> String {
        let (password, host, port) = match self {
            Self::Socket { folder } => (String::new(), encode(folder), SOCKET_PORT),
            Self::Tcp { port, password } => (format!(":{password}"), Ipv4Addr::LOCALHOST.to_string(), *port),
        };
        format!("postgres://{SUPERUSER}{password}@{host}:{port}/{}?sslmode=disable", encode(database))
    }

    /// Whether a query is answered, by a real connection; makes the service's database where it is missing.
    pub(super) async fn answer(&self) -> Result<(), sqlx::Error> {
        let options = PgConnectOptions::from_str(&self.url("postgres"))?;
        let connecting = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(&options));
        let mut connection = connecting.await.map_err(|late| sqlx::Error::Io(late.into()))??;
        let found: Option<i32> = sqlx::query_scalar(
            r"-- embedded::endpoint::answer
            select 1 from pg_database where datname = $1",
        )
        .bind(DATABASE)
        .fetch_optional(&mut connection)
        .await?;
        if found.is_none() {
            sqlx::query(
                r"-- embedded::endpoint::answer
                create database account_opening",
            )
            .execute(&mut connection)
            .await?;
        }
        connection.close().await
    }
}

/// Percent-encoding of all but letters and digits, so that any path can stand for a host.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
        encoded
    })
}
