//! One Postgres for all tests of the run. A migrated cell is a database of its own, copied from a template: a copy takes a seventh of
//! the time of the migrations. Most tests borrow a copy (`cells.rs`). A test that migrates by itself gets the name of a schema.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use account_opening::db::{migrations, roles};
use chaos::{Link, Proxy};
use nix::sys::statvfs::statvfs;
use private_postgres::{Cluster, ClusterOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

/// The role that services run as: it owns nothing.
pub const SERVICE: &str = "service";

/// The database that every cell is copied from.
const TEMPLATE: &str = "template_cell";
/// The schema of a copied cell.
pub(super) const CELL: &str = "cell";
/// The folder of a file system in memory, on Linux.
const IN_MEMORY: &str = "/dev/shm";
/// The databases of a run come to about 5 GB.
const ROOM_IN_MEMORY: u64 = 10 << 30;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static NUMBERS: AtomicU32 = AtomicU32::new(0);

/// The URL of a database as its superuser, and the name of a schema that does not exist yet and belongs to the test.
pub async fn fresh_schema() -> (String, String) {
    super::run::begin_test();
    let cluster = CLUSTER.get_or_init(start).await;
    (cluster.url().to_owned(), format!("cell_{}", next_number()))
}

/// The URL of a database of the test's own as its superuser, and the schema in it that is migrated and granted to [`SERVICE`].
pub async fn fresh_cell() -> (String, String) {
    super::run::begin_test();
    (copy_template().await, CELL.to_owned())
}

/// The URL of a new copy of the template as its superuser.
pub(super) async fn copy_template() -> String {
    let cluster = CLUSTER.get_or_init(start).await;
    let started = Instant::now();
    let name = format!("cell_{}", next_number());
    execute(cluster.url(), format!("create database {name} template {TEMPLATE}")).await;
    super::run::record("cells copied", started.elapsed());
    cluster.url_for(&name)
}

/// The URL of an empty database of the test's own as its superuser, and its name.
pub async fn fresh_database() -> (String, String) {
    super::run::begin_test();
    let cluster = CLUSTER.get_or_init(start).await;
    let name = format!("empty_{}", next_number());
    execute(cluster.url(), format!("create database {name}")).await;
    (cluster.url_for(&name), name)
}

fn next_number() -> u32 {
    NUMBERS.fetch_add(1, Ordering::SeqCst)
}

/// A proxy before the database with this URL.
pub async fn proxy(url: &str) -> Proxy {
    Proxy::start(link(url)).await.unwrap()
}

/// Where the database with this URL listens.
pub fn link(url: &str) -> Link {
    link_of(&url.parse().unwrap())
}

/// Where the database of these options listens.
pub fn link_of(options: &PgConnectOptions) -> Link {
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
    // Autovacuum would visit a thousand databases in turn, most of which no test uses any more.
    let settings = vec![("autovacuum".to_owned(), "off".to_owned())];
    let options = ClusterOptions { data_dir: data_dir(), bin_dir: None, max_connections: 400, settings };
    let cluster = Cluster::temporary_with(options).await.unwrap();
    create_role(cluster.url(), SERVICE, "").await;
    execute(cluster.url(), format!("create database {TEMPLATE}")).await;
    let pool = super::builder::pool(&cluster.url_for(TEMPLATE), CELL, 1);
    let mut connection = pool.acquire().await.unwrap();
    migrations::migrate(&mut connection, CELL).await.unwrap();
    // So every test also shows that the service gets along with what it was granted.
    roles::grant(&mut connection, CELL, SERVICE, true).await.unwrap();
    drop(connection);
    // A database with connections is not copied.
    pool.close().await;
    cluster
}

/// A file system in memory where it has room: Postgres flushes as ever, and a flush costs nothing.
pub(super) fn data_dir() -> PathBuf {
    let free = statvfs(IN_MEMORY).map_or(0, |it| it.blocks_available() * it.fragment_size());
    let place = Path::new(IN_MEMORY).to_owned();
    if free >= ROOM_IN_MEMORY { place } else { std::env::temp_dir() }
}

/// Makes a role that may log in; the URL that it does so with.
pub async fn create_role(url: &str, role: &str, options: &str) -> String {
    execute(url, format!("create role {role} login password '{}' {options}", parts(url).0)).await;
    url_as(url, role)
}

async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    connection.close().await.unwrap();
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
