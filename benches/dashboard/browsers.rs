//! Browsers that are open for a while. Each asks for live updates as `assets/live.js` does, and fetches its page when that has changed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::stats::{millis, percentile};
use crate::visitor::Visitor;

/// Between an answer and the next question: `EVERY` of `live.js`.
const EVERY: Duration = Duration::from_secs(5);
/// Before anything is counted each browser has asked two times: the page of an opening that no browser watched is fetched once more when its
/// mark is known.
const SETTLING: Duration = Duration::from_secs(12);

/// Browsers that are open.
pub struct Browsers {
    stop: CancellationToken,
    open: JoinSet<Seen>,
    began: Instant,
}

/// The requests and pages of a browser since counting began.
#[derive(Default)]
struct Seen {
    asked: usize,
    pages: Vec<Duration>,
    wrong: Vec<String>,
}

/// The cost of all browsers.
pub struct Cost {
    /// Requests a second: questions and pages.
    pub requests: f64,
    /// Pages a second.
    pub pages: f64,
    /// The p99 of a page, in milliseconds. None: no page was fetched.
    pub p99: Option<f64>,
    /// A second, beyond those of a service without browsers. None: they were not counted.
    pub statements: Option<f64>,
    pub wrong: Vec<String>,
}

impl Browsers {
    /// Opens a browser for each page, and waits until each has asked two times.
    pub async fn open(service: SocketAddr, pages: &[String]) -> Self {
        let mut visitors = Vec::new();
        for page in pages {
            visitors.push((Visitor::signed_in(service).await, page.clone()));
        }
        // From here on, so that no browser fetches its page for the first time while others are looked at.
        let counts_from = Instant::now() + SETTLING;
        let (stop, mut open) = (CancellationToken::new(), JoinSet::new());
        let mut pause = Duration::ZERO;
        for (visitor, page) in visitors {
            open.spawn(browse(visitor, page, pause, counts_from, stop.clone()));
            pause += EVERY / u32::try_from(pages.len()).expect("a small number");
        }
        tokio::time::sleep_until(counts_from.into()).await;
        Self { stop, open, began: Instant::now() }
    }

    pub async fn close(self) -> Cost {
        let took = self.began.elapsed().as_secs_f64();
        self.stop.cancel();
        let seen = self.open.join_all().await;
        let mut pages: Vec<Duration> = seen.iter().flat_map(|it| it.pages.clone()).collect();
        pages.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let per_second = |count: usize| count as f64 / took;
        let asked: usize = seen.iter().map(|it| it.asked).sum();
        Cost {
            requests: per_second(asked + pages.len()),
            pages: per_second(pages.len()),
            p99: percentile(&pages, 0.99).map(millis),
            statements: None,
            wrong: seen.into_iter().flat_map(|it| it.wrong).take(3).collect(),
        }
    }
}

async fn browse(
    visitor: Visitor,
    page: String,
    pause: Duration,
    counts_from: Instant,
    stop: CancellationToken,
) -> Seen {
    let mut seen = Seen::default();
    stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    let (_, text) = visitor.page(&page).await;
    let (watch, mut mark) = (attribute(&text, "data-watch"), attribute(&text, "data-seen"));
    while !stop.is_cancelled() {
        let (status, answer) = visitor.ask("/live", &[("watch", &watch), ("seen", &mark)]).await;
        let counts = Instant::now() >= counts_from;
        seen.asked += usize::from(counts);
        match status {
            204 => {}
            200 => {
                let began = Instant::now();
                let (status, text) = visitor.ask(&page, &[]).await;
                if counts {
                    seen.pages.push(began.elapsed());
                }
                if status != 200 {
                    seen.wrong.push(format!("{page}: {status}"));
                }
                mark = attribute(&text, "data-seen");
            }
            _ => seen.wrong.push(format!("/live: {status} {answer}")),
        }
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
    seen
}

fn attribute(html: &str, name: &str) -> String {
    let after = html.split_once(&format!("{name}=\"")).map_or("", |it| it.1);
    after.split('"').next().unwrap_or_default().to_owned()
}
