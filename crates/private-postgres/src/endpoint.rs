//! The address that the cluster listens on, and its URL.
//!
//! Usually a socket without a password, in a folder that only its user can enter. If the socket's path is too long for
//! the system: a free port of 127.0.0.1 with a password, because every user of the machine can connect to a port.
//!
//! Invariant: exactly one of the two is open, and it stays the same while the service runs. A crash leaves nothing
//! behind.

use std::net::{Ipv4Addr, TcpListener};
use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::ClusterError;
use super::folder::Folder;

pub(super) const SUPERUSER: &str = "postgres";
pub(super) const DATABASE: &str = "account_opening";

/// Part of the socket's name. The folder is private, so names cannot collide.
const SOCKET_PORT: u16 = 5432;
/// The maximum length of a socket's path, without the terminating zero.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The listen address. Not `Debug`: it may contain a password.
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
        // The port is free now; if another process takes it first, the start is retried with another port.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(|source| ClusterError::Spawn { what: "a listener".to_owned(), source })?.port();
        tracing::info!(port, "the socket's path is too long; PostgreSQL listens on 127.0.0.1 with a password instead");
        Ok(Self::Tcp { port, password })
    }

    /// The settings for listening on this address only.
    pub(super) fn settings(&self) -> [(&'static str, String); 4] {
        let (addresses, port, folders) = match self {
            // The setting is a list; quoting allows commas in the name.
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

    /// The URL of `database`; may contain the password.
    pub(super) fn url(&self, database: &str) -> String {
        let (password, host, port) = match self {
            Self::Socket { folder } => (String::new(), encode(folder), SOCKET_PORT),
            Self::Tcp { port, password } => (format!(":{password}"), Ipv4Addr::LOCALHOST.to_string(), *port),
        };
        format!("postgres://{SUPERUSER}{password}@{host}:{port}/{}?sslmode=disable", encode(database))
    }

    /// Checks that a query is answered over a real connection; creates the service's database if missing.
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

/// Percent-encodes all but letters and digits, so that any path can be the host.
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
