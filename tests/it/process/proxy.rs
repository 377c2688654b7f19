//! The proxy variables of an environment, such as `http_proxy`: no call of the service goes by them, to loopback or elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use tokio::net::TcpListener;
use world::{Options, Plan, Planner, Simulator};

use crate::support::process::{Program, WITHIN, eventually};
use crate::support::service::ServiceBuilder;

/// A proxy that hangs up on each connection.
struct Proxy {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { url, connections }
    }

    /// Every variable by which a client finds its proxy.
    fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        names.into_iter().map(|name| (name, self.url.as_str()))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// G11
#[tokio::test]
async fn the_demo_ends_well_where_a_proxy_is_set() {
    let proxy = Proxy::start().await;
    let demo = Program::new(&["demo", "--openings", "3", "--seed", "3", "--exit", "--json"]);
    let demo = proxy.variables().fold(demo, |demo, (name, url)| demo.env(name, url));
    let ended = demo.spawn().ended(Duration::from_mins(1)).await;
    assert_eq!((ended.code(), proxy.connections()), (Some(0), 0), "{}", ended.stderr);
}

/// G11: neither calls to loopback nor calls to another host, with a name that no resolver knows here.
#[tokio::test]
async fn the_service_calls_others_directly_where_a_proxy_is_set() {
    let proxy = Proxy::start().await;
    let mut options = Options::local("development-key".to_owned(), DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::by_hand());
    let world = Simulator::start(options).await.unwrap();
    let service =
        ServiceBuilder::new().outside_world(&world.base_url()).env("NEXUSBANK_BASE_URL", "http://bank.invalid");
    let service = proxy.variables().fold(service, |service, (name, url)| service.env(name, url));
    let service = service.start().await;
    let (_, _, opening) = service.open("order-1").await;
    let id = opening["id"].as_str().unwrap();
    service.reaches(id, "requesting_account").await;
    let path = format!("/v1/account-openings/{id}/timeline");
    eventually("the bank was tried", WITHIN, async || {
        service.get(&path).await.to_string().contains("could not connect").then_some(())
    })
    .await;
    assert_eq!(proxy.connections(), 0);
    assert!(service.process.stderr().contains("serving"));
    service.stop().await;
    world.stop().await;
}
