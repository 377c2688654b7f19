//! One Postgres for all tests of the run, and a schema of its own for each: one schema is one cell.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use account_opening::embedded::Cluster;
use account_opening::faults::{Link, Proxy};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// The URL of the database, and the name of a schema that nobody else uses. It ends with the process.
pub async fn fresh_schema() -> (String, String) {
    let cluster = CLUSTER.get_or_init(|| async { Cluster::temporary(None, 300).await.unwrap() }).await;
    let number = SCHEMAS.fetch_add(1, Ordering::SeqCst);
    (cluster.url().to_owned(), format!("cell_{number}"))
}

/// A proxy before the database with this URL.
pub async fn proxy(url: &str) -> Proxy {
    let options: PgConnectOptions = url.parse().unwrap();
    let folder = options.get_socket().cloned().or_else(|| Some(PathBuf::from(options.get_host())));
    let link = match folder.filter(|it| it.is_absolute()) {
        Some(folder) => Link::Socket(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
        None => Link::Port(format!("{}:{}", options.get_host(), options.get_port()).parse().unwrap()),
    };
    Proxy::start(link).await.unwrap()
}

/// The same database, through the proxy.
pub fn url_through(url: &str, proxy: &Proxy) -> String {
    let mut url = reqwest::Url::parse(url).unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.addr().port())).unwrap();
    url.into()
}
