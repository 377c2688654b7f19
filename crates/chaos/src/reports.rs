//! The bank's files in a run: written at random moments, uploaded to any replica, twice or out of order, some cut short, one so
//! different that it must be held.
//!
//! The files during the load are right, so all that they lead to must settle by itself. The last ones carry divergences.

use std::sync::Arc;
use std::time::Duration;

use ::world::reports::{Ask, Divergences, Expected, File, Kind, write};
use axum::body::Bytes;
use axum::http::Method;
use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, sleep_until};

use crate::files::{Recorder, now};
use crate::load::{Call, Listener, Net};
use crate::provider::{Bank, Provider, rng};
use crate::record::{BankFile, Divergence, Seen};
use crate::world::{CHARGE_WINDOW, RECON_WINDOW, REPLICAS, TOKEN, World};

/// The files of the bank that a run plays.
const KINDS: [(File, &str); 2] = [(File::Register, "register"), (File::Charges, "charges")];
/// How often they are written during a load.
const TIMES: u32 = 6;
/// Which of them is held, and which are cut short.
const HELD: u32 = 4;
const CUT: [u32; 2] = [1, 3];
/// The states of a report that is not read yet.
const UNREAD: [&str; 2] = ["received", "reading"];
/// One clock is wrong by up to eight seconds, so steps of this time belong to the period too.
const SKEW: TimeDelta = TimeDelta::seconds(15);
/// Between two attempts of an upload.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a report may take, on a machine that recovers from faults.
const PATIENCE: Duration = Duration::from_mins(2);

/// Writes and uploads the bank's files.
pub struct Player {
    net: Net,
    history: Recorder,
    provider: Provider,
    seed: u64,
    begun: DateTime<Utc>,
    rng: StdRng,
    written: u64,
    /// The charges so far: a fee that one of them charges is not absent from a later one.
    charges: Vec<String>,
}

impl Player {
    pub fn new(world: &World, seed: u64) -> anyhow::Result<Self> {
        Ok(Self {
            net: Net::new(world.addresses())?,
            history: world.history.clone(),
            provider: world.targets.provider.clone(),
            seed,
            begun: time() - SKEW,
            rng: rng(seed, "reports", 0),
            written: 0,
            charges: Vec::new(),
        })
    }

    /// Uploads right files for so many seconds, and those that are left at once afterwards.
    pub async fn play(&mut self, seconds: u64) {
        let begun = Instant::now();
        let mut kept: Vec<Arc<BankFile>> = Vec::new();
        for time in 1..=TIMES {
            let share = f64::from(time) - self.rng.random_range(0.1..0.9);
            #[expect(clippy::cast_precision_loss, reason = "a number of seconds")]
            let at = seconds as f64 * share / f64::from(TIMES);
            sleep_until(begun + Duration::from_secs_f64(at)).await;
            let divergences = if time == HELD { Divergences::Many } else { Divergences::None };
            let files = self.files(divergences, CUT.contains(&time), TimeDelta::zero());
            // Rows of an older file count as revised, so the file that must be held is read before a newer one is uploaded.
            let (held, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|it| it.held);
            for file in held {
                self.upload_and_wait(&file).await;
            }
            kept.extend(others);
            // Some wait for later ones, which are uploaded before them.
            while kept.len() > 2 || (!kept.is_empty() && self.rng.random_bool(0.4)) {
                let file = kept.swap_remove(self.rng.random_range(0..kept.len()));
                self.upload(&file).await;
                if self.rng.random_bool(0.3) {
                    self.upload(&file).await;
                }
            }
        }
        for file in kept {
            self.upload(&file).await;
        }
    }

    /// The last files, with divergences, and once more the first one, which is older. Returns what went wrong.
    pub async fn finish(&mut self) -> Vec<String> {
        let mut wrong: Vec<String> = self.settled().await.err().into_iter().collect();
        let older = self.files(Divergences::None, false, TimeDelta::zero());
        for file in self.files(Divergences::Quota, false, SKEW).iter().chain(older.iter().rev()) {
            if self.upload(file).await.is_none() {
                wrong.push(format!("file {} was not taken within {PATIENCE:?}", file.number));
            }
            wrong.extend(self.settled().await.err());
        }
        wrong
    }

    /// The files of everything so far.
    fn files(&mut self, divergences: Divergences, cut: bool, later: TimeDelta) -> Vec<Arc<BankFile>> {
        let as_of = time();
        let ask = Ask {
            divergences,
            cut,
            recon_window: RECON_WINDOW,
            charge_window: CHARGE_WINDOW,
            dealt_at: as_of,
            ..Ask::clean(self.begun, as_of + later)
        };
        let books = write(&self.provider.entries(), self.seed, &ask);
        let held = divergences == Divergences::Many;
        let last = divergences == Divergences::Quota;
        let mut files = Vec::new();
        for (file, kind) in KINDS {
            self.written += 1;
            let of_file = books.plan.divergences.iter().filter(|it| it.file == file && !self.is_charged(it));
            let text = match file {
                File::Register => &books.register,
                File::Charges => &books.charges,
                File::Bank => &books.bank,
            };
            let written = BankFile {
                at: now(),
                number: self.written,
                kind: kind.to_owned(),
                text: text.clone(),
                sha256: hex::encode(Sha256::digest(text)),
                complete: !cut,
                held: held && file == File::Register,
                last,
                expected: of_file.map(divergence).collect(),
            };
            self.history.record(&Seen::File(written.clone()));
            files.push(Arc::new(written));
        }
        self.charges.push(books.charges);
        files
    }

    fn is_charged(&self, expected: &Expected) -> bool {
        let line = format!(",account_opened,1,{},", expected.key);
        expected.kind == Kind::NotCharged && self.charges.iter().any(|text| text.contains(&line))
    }

    /// Uploads a file until a replica takes it; returns the report's id.
    async fn upload(&mut self, file: &BankFile) -> Option<String> {
        let headers = vec![("authorization", format!("Bearer {TOKEN}")), ("content-type", "text/csv".to_owned())];
        let bank = Bank::REPORTING.name();
        let path = format!("/v1/reports?provider={bank}&kind={}&file_name={}.csv", file.kind, file.number);
        let body = Bytes::from(file.text.clone());
        let call = Call { listener: Listener::Internal, method: Method::POST, path, headers, body };
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let replica = self.rng.random_range(0..REPLICAS);
            let reply = self.net.send(replica, &call).await;
            let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let report = answer["id"].as_str().filter(|_| matches!(reply.status, 200 | 202)).map(str::to_owned);
            let (at, file, status) = (now(), file.number, reply.status);
            self.history.record(&Seen::Upload { at, file, replica, status, report: report.clone() });
            if report.is_some() {
                return report;
            }
            sleep(AGAIN).await;
        }
        None
    }

    /// Uploads a file and waits until it is read, or [`PATIENCE`] is over; the judge sees what became of it.
    async fn upload_and_wait(&mut self, file: &BankFile) {
        let Some(report) = self.upload(file).await else { return };
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let read = self.get(&format!("/v1/reports/{report}")).await;
            if read.is_some_and(|it| it["state"].as_str().is_some_and(|state| !UNREAD.contains(&state))) {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    /// Waits until every report is read, and everything that it did by itself has its effect.
    async fn settled(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let mut left = String::new();
        while started.elapsed() < PATIENCE {
            left = match self.left().await {
                Some(left) if left.is_empty() => return Ok(()),
                left => left.unwrap_or_else(|| "no answer".to_owned()),
            };
            sleep(AGAIN).await;
        }
        Err(format!("P28: reports are not through after {PATIENCE:?}: {left}"))
    }

    async fn left(&mut self) -> Option<String> {
        let mut left = Vec::new();
        let unread = UNREAD.map(|state| format!("reports?state={state}"));
        for list in unread.into_iter().chain(["mismatches?state=applied".to_owned()]) {
            let answer = self.get(&format!("/v1/{list}")).await?;
            let items = answer["items"].as_array()?.len();
            left.extend((items > 0).then(|| format!("{items} {list}")));
        }
        Some(left.join(", "))
    }

    /// The answer of any replica, if it is a 200.
    async fn get(&mut self, path: &str) -> Option<Value> {
        let headers = vec![("authorization", format!("Bearer {TOKEN}"))];
        let path = path.to_owned();
        let call = Call { listener: Listener::Internal, method: Method::GET, path, headers, body: Bytes::new() };
        let reply = self.net.send(self.rng.random_range(0..REPLICAS), &call).await;
        serde_json::from_slice(&reply.body).ok().filter(|_| reply.status == 200)
    }
}

fn divergence(expected: &Expected) -> Divergence {
    let kind = serde_json::to_value(expected.kind).unwrap_or_default();
    Divergence {
        kind: kind.as_str().unwrap_or_default().to_owned(),
        class: expected.class.to_owned(),
        states: expected.states.iter().map(|it| (*it).to_owned()).collect(),
        becomes: expected.becomes.map(str::to_owned),
        lines: expected.lines.iter().filter_map(|line| i64::try_from(*line).ok()).collect(),
        reference: expected.reference.clone(),
    }
}

fn time() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(now()).unwrap_or_default()
}
