//! Load on real processes: senders of webhooks and callers that start openings, each of which repeats what was not taken, as
//! a simple client does, until it is; every answer is on record.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::process::{WITHIN, eventually};
use super::service::{Bank, Caller, Service};

/// Senders of each kind.
const SENDERS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Webhook,
    Start,
    Live,
}

impl Kind {
    /// The pause of a client between two requests: an opening makes far more work than a webhook, and other tests run on this
    /// machine too.
    const fn pace(self) -> Duration {
        match self {
            Self::Webhook => Duration::from_millis(20),
            Self::Start | Self::Live => Duration::from_millis(100),
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub kind: Kind,
    /// The webhook's id, or the Idempotency-Key.
    pub key: String,
    /// 0: there was none.
    pub status: u16,
    pub content_type: String,
    /// Seconds.
    pub retry_after: Option<u32>,
    /// The opening's id, where one was started.
    pub opening: Option<String>,
    pub sent: Instant,
    pub took: Duration,
}

impl Answer {
    /// Whether it says that the thing is done.
    pub fn acknowledges(&self) -> bool {
        matches!((self.kind, self.status), (Kind::Webhook | Kind::Live, 200) | (Kind::Start, 202))
    }

    async fn of(kind: Kind, key: &str, sending: impl Future<Output = reqwest::Result<Response>>) -> Self {
        let sent = Instant::now();
        let mut answer = Self {
            kind,
            key: key.to_owned(),
            status: 0,
            content_type: String::new(),
            retry_after: None,
            opening: None,
            sent,
            took: Duration::ZERO,
        };
        if let Ok(response) = sending.await {
            let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
            answer.content_type = header("content-type").unwrap_or_default();
            answer.retry_after = header("retry-after").and_then(|it| it.parse().ok());
            answer.status = response.status().as_u16();
            // An answer that breaks off is none.
            match response.text().await {
                Ok(body) => {
                    let body: Value = serde_json::from_str(&body).unwrap_or_default();
                    answer.opening = body["id"].as_str().map(str::to_owned);
                }
                Err(_) => answer.status = 0,
            }
        }
        answer.took = sent.elapsed();
        answer
    }
}

/// The receiving replica.
#[derive(Clone)]
struct Target {
    bank: Bank,
    caller: Caller,
}

/// A load that goes on.
pub struct Load {
    record: Arc<Mutex<Vec<Answer>>>,
    /// Nothing new is begun.
    no_more: CancellationToken,
    /// Requests that were begun are not repeated.
    give_up: CancellationToken,
    tasks: JoinSet<()>,
}

impl Load {
    /// Begins, on all of these in turn.
    pub fn on(services: &[&Service]) -> Self {
        let targets: Vec<Target> = services.iter().map(|it| Target { bank: it.bank(), caller: it.caller() }).collect();
        let mut load = Self {
            record: Arc::default(),
            no_more: CancellationToken::new(),
            give_up: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        for sender in 0..SENDERS {
            for kind in [Kind::Webhook, Kind::Start] {
                load.spawn(kind, sender, targets.clone());
            }
        }
        load
    }

    /// Asks for `/livez` as well, all the time.
    pub fn watching(mut self, service: &Service) -> Self {
        let (record, no_more) = (Arc::clone(&self.record), self.no_more.clone());
        let (client, url) = (service.client.clone(), format!("{}/livez", service.internal));
        self.tasks.spawn(async move {
            while !no_more.is_cancelled() {
                let answer = Answer::of(Kind::Live, "", client.get(&url).send()).await;
                record.lock().unwrap().push(answer);
                tokio::time::sleep(Kind::Live.pace()).await;
            }
        });
        self
    }

    fn spawn(&mut self, kind: Kind, sender: usize, targets: Vec<Target>) {
        let (record, no_more, give_up) = (Arc::clone(&self.record), self.no_more.clone(), self.give_up.clone());
        self.tasks.spawn(async move {
            let mut turn = sender;
            for number in 0_u32.. {
                let key = format!("{kind:?}_{sender}_{number}");
                loop {
                    if give_up.is_cancelled() {
                        return;
                    }
                    let Target { bank, caller } = &targets[turn % targets.len()];
                    let answer = match kind {
                        Kind::Webhook => Answer::of(kind, &key, bank.unknown(&key)).await,
                        Kind::Start | Kind::Live => Answer::of(kind, &key, caller.start(&key, &key)).await,
                    };
                    let done = answer.acknowledges();
                    record.lock().unwrap().push(answer);
                    tokio::time::sleep(kind.pace()).await;
                    turn += 1;
                    if done {
                        break;
                    }
                }
                if no_more.is_cancelled() {
                    return;
                }
            }
        });
    }

    /// The answers so far to what was sent since then.
    pub fn since(&self, since: Instant) -> Vec<Answer> {
        self.record.lock().unwrap().iter().filter(|it| it.sent >= since).cloned().collect()
    }

    /// Waits until both kinds of requests that are sent from now on have been answered like this.
    pub async fn answers(&self, what: &str, within: Duration, fits: impl Fn(&Answer) -> bool) {
        let now = Instant::now();
        eventually(what, within, async || {
            let answers = self.since(now);
            let seen = |kind| answers.iter().any(|it| it.kind == kind && fits(it));
            (seen(Kind::Webhook) && seen(Kind::Start)).then_some(())
        })
        .await;
    }

    /// Waits until work is taken.
    pub async fn is_taken(&self, within: Duration) {
        self.answers("webhooks and openings are taken", within, Answer::acknowledges).await;
    }

    /// Ends it once everybody has succeeded with what they had begun.
    pub async fn finish(mut self) -> Vec<Answer> {
        self.no_more.cancel();
        let finished = tokio::time::timeout(WITHIN, async { while self.tasks.join_next().await.is_some() {} }).await;
        finished.expect("a client that repeats its request succeeds in the end");
        self.since_the_beginning()
    }

    /// Ends it; what was begun may be left undone.
    pub async fn abandon(mut self) -> Vec<Answer> {
        self.no_more.cancel();
        self.give_up.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.since_the_beginning()
    }

    fn since_the_beginning(&self) -> Vec<Answer> {
        self.record.lock().unwrap().clone()
    }
}
