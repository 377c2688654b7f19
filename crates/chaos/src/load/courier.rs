//! Delivers one message of the bank: delayed, in several copies, beside a forgery, and repeatedly until it is
//! acknowledged or given up.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use rand::RngExt;
use rand::rngs::StdRng;

use super::fate::{Fate, Fold};
use super::run::{Run, count};
use super::wire::{Call, Listener};
use crate::files::now;
use crate::provider::{Bank, Secret};
use crate::record::Seen;

/// When an unacknowledged message is sent again; after the last one the bank gives up and the service must poll.
const REPEATS: [u64; 3] = [1_000, 3_000, 7_000];

/// A message as it is sent: the same id and body each time, signed anew.
#[derive(Clone)]
pub struct Letter {
    pub webhook_id: String,
    /// Of the body, in hex.
    pub sha256: String,
    pub body: Bytes,
    pub secret: Secret,
    pub forged: bool,
    pub fold: Fold,
}

pub struct Courier {
    pub run: Arc<Run>,
    pub rng: StdRng,
    pub fate: Fate,
}

impl Courier {
    pub async fn deliver(mut self, letter: Letter, lie: Option<Letter>) {
        tokio::time::sleep(self.fate.held(&mut self.rng)).await;
        self.beside(&letter, lie);
        let mut acked = self.post(&letter, self.fate.hang_up).await;
        for wait in REPEATS {
            if acked {
                return;
            }
            let wait = self.rng.random_range(wait * 9 / 10..wait * 11 / 10);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            acked = self.post(&letter, false).await;
        }
        if !acked {
            count(&self.run.counts.given_up);
        }
    }

    /// Sends the copies and the forgery once each.
    fn beside(&mut self, letter: &Letter, lie: Option<Letter>) {
        let copies = (0..self.fate.copies.count).map(|_| (letter.clone(), self.fate.copied_after(&mut self.rng)));
        let copies: Vec<_> = copies.chain(lie.map(|lie| (lie, Duration::ZERO))).collect();
        for (letter, after) in copies {
            let run = Arc::clone(&self.run);
            let replica = run.replica(&mut self.rng);
            self.run.spawn(async move {
                if !after.is_zero() {
                    run.later(after).await;
                }
                post(&run, &letter, replica, None).await;
            });
        }
    }

    async fn post(&mut self, letter: &Letter, hang_up: bool) -> bool {
        let replica = self.run.replica(&mut self.rng);
        let hang_up = hang_up.then(|| self.hung_up_after());
        post(&self.run, letter, replica, hang_up).await
    }

    fn hung_up_after(&mut self) -> Duration {
        let drawn = self.rng.random::<f64>();
        // Usually while the work is in progress, which takes a few milliseconds. For many hang-ups the connection to
        // the database is slowed, and so is the work.
        Duration::from_secs_f64(if self.run.config.many_hang_up { 0.15 * drawn } else { 0.02 * drawn.powi(3) })
    }
}

/// Sends a message once. Returns whether it was acknowledged.
async fn post(run: &Run, letter: &Letter, replica: usize, hang_up: Option<Duration>) -> bool {
    let number = count(&run.counts.sent);
    let at = now();
    run.history.record(&Seen::Send {
        at,
        number,
        webhook_id: letter.webhook_id.clone(),
        sha256: letter.sha256.clone(),
        replica,
        forged: letter.forged,
        hang_up: hang_up.is_some(),
        folded: letter.fold != Fold::None,
    });
    let call = call(run.config.bank, letter, at);
    let status = match hang_up {
        None => run.net.send(replica, &call).await.status,
        Some(after) => {
            run.net.hang_up(replica, &call, after).await;
            0
        }
    };
    run.history.record(&Seen::Answer { at: now(), number, status });
    (200..300).contains(&status)
}

fn call(bank: Bank, letter: &Letter, at: i64) -> Call {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    let signed = (&letter.secret, letter.webhook_id.as_str(), &letter.body[..]);
    headers.extend(bank.headers(signed, at, |signature| letter.fold.lines(signature)));
    let (path, body) = (format!("/webhooks/{}", bank.name()), letter.body.clone());
    Call { listener: Listener::Public, method: Method::POST, path, headers, body }
}
