//! One Postgres for all tests of the run, and a schema of its own for each: one schema is one cell.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use account_opening::embedded::Cluster;
use account_opening::faults::{Link, Proxy};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

/// The role that services run as: it owns nothing.
pub const SERVICE: &str = "service";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// The URL of the database as its superuser, and the name of a schema that nobody else uses. It ends with the process.
pub async fn fresh_schema() -> (String, String) {
    let cluster = CLUSTER.get_or_init(start).await;
    let number = SCHEMAS.fetch_add(1, Ordering::SeqCst);
    (cluster.url().to_owned(), format!("cell_{number}"))
}

/// A proxy before the database with this URL.
pub async fn proxy(url: &str) -> Proxy {
    Proxy::start(link(url)).await.unwrap()
}

/// Where the database with this URL listens.
pub fn link(url: &str) -> Link {
    let options: PgConnectOptions = url.parse().unwrap();
    let folder = options.get_socket().cloned().or_else(|| Some(PathBuf::from(options.get_host())));
    match folder.filter(|it| it.is_absolute()) {
        Some(folder) => Link::Socket(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
        None => Link::Port(format!("{}:{}", options.get_host(), options.get_port()).parse().unwrap()),
    }
}

/// The same database, through the proxy.
pub fn url_through(url: &str, proxy: &Proxy) -> String {
    let mut url = reqwest::Url::parse(url).unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.addr().port())).unwrap();
    url.into()
}

async fn start() -> Cluster {
    let cluster = Cluster::temporary(None, 300).await.unwrap();
    create_role(cluster.url(), SERVICE, "").await;
    cluster
}

/// Makes a role that may log in; the URL that it does so with.
pub async fn create_role(url: &str, role: &str, options: &str) -> String {
    let create = format!("create role {role} login password '{}' {options}", parts(url).0);
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.unwrap();
    connection.close().await.unwrap();
    url_as(url, role)
}

/// The URL of a role that [`create_role`] made.
pub fn url_as(url: &str, role: &str) -> String {
    let (password, rest) = parts(url);
    format!("postgres://{role}:{password}@{rest}")
}

/// A password, and what stands behind the user: over TCP roles need a password, over the socket anything will do.
fn parts(url: &str) -> (&str, &str) {
    let (user, rest) = url.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    (user.split_once(':').map_or("any", |(_, password)| password), rest)
}
