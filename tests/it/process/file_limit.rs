//! The limit of open files: the internal listener answers despite any number of outside connections.

use std::net::TcpStream;
use std::time::Duration;

use super::external::migrated;
use crate::support::process::Program;
use crate::support::service::Service;

/// Far below what the two listeners would take.
const LIMIT: usize = 256;

/// The soft and the hard limit of open files that the kernel holds the process to.
fn limits(service: &Service) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.process.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut values = line.split_whitespace().map(str::to_owned);
    (values.next().unwrap(), values.next().unwrap())
}

/// How many files the process has open.
fn open_files(service: &Service) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", service.process.pid())).unwrap().count()
}

fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.trim_start_matches("http://")).unwrap()
}

/// Asks on a connection of its own, as an orchestrator does: the status, 0 where there is no answer in time.
async fn ask(url: &str) -> u16 {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    client.get(url).send().await.map_or(0, |it| it.status().as_u16())
}

/// G8: an orchestrator restarts a process that does not answer on `/livez`; idle clients from outside must not bring that about.
#[tokio::test(flavor = "multi_thread")]
async fn with_more_idle_connections_from_outside_than_files_the_internal_listener_answers_and_so_does_the_public_one() {
    let (serve, ..) = migrated().await;
    let service = serve.limit(&format!("-n {LIMIT}")).start().await;
    assert_eq!(limits(&service), (LIMIT.to_string(), LIMIT.to_string()));
    let idle: Vec<TcpStream> = (0..LIMIT + 30).map(|_| connect(&service.public)).collect();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(ask(&format!("{}{path}", service.internal)).await, 200, "{path} inside");
    }
    assert_eq!(
        ask(&format!("{}/livez", service.public)).await,
        200,
        "the connection that was idle for longest made room"
    );
    assert_eq!(service.webhook("msg_1").await, 200);
    assert!(open_files(&service) < LIMIT * 3 / 4, "files are in reserve: {}", open_files(&service));
    assert!(!service.process.stderr().contains("could not be accepted"), "{}", service.process.stderr());
    drop(idle);
}

/// G8: the same from inside: callers that keep more connections than the listener has do not hold up the orchestrator.
#[tokio::test(flavor = "multi_thread")]
async fn with_more_idle_connections_from_inside_than_files_it_answers_too() {
    let (serve, ..) = migrated().await;
    let service = serve.limit(&format!("-n {LIMIT}")).start().await;
    let idle: Vec<TcpStream> = (0..LIMIT + 30).map(|_| connect(&service.internal)).collect();
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&format!("{}{path}", service.internal)).await, 200, "{path}");
    }
    assert_eq!(service.webhook("msg_1").await, 200);
    drop(idle);
}

/// G8: the soft limit is the shell's; the hard one is what the administrator allows.
#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one_and_the_log_says_what_it_allows() {
    let (serve, ..) = migrated().await;
    let service = serve.limit("-S -n 200").start().await;
    let (soft, hard) = limits(&service);
    assert!(soft == hard && soft != "200", "{soft} {hard}");
    let said = service.process.stderr();
    let line = said.lines().find(|line| line.contains("file limit")).unwrap_or_else(|| panic!("no line: {said}"));
    for number in [format!("\"files.limit\":{hard}"), "\"connections.public\":1024".to_owned()] {
        assert!(line.contains(&number), "{line}");
    }
}

/// G8: a limit that leaves nothing for the listeners is said at the start, and not by a service that does not answer.
#[tokio::test]
async fn a_limit_that_is_too_low_to_serve_is_refused_with_what_it_takes() {
    let (serve, ..) = migrated().await;
    let refused: Program = serve.env("DATABASE_POOL", "100").limit("-n 128").0;
    let ended = refused.run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    let line = ended.line_about("DATABASE_POOL");
    assert!(line.contains("128") && line.contains("ulimit -n"), "{line}");
}
