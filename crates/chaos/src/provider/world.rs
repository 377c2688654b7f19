//! The state of the outside world: effects by key, and the bank's requests.
//!
//! The state contains only what is in the ledger on disk: a lookup or a message shows only recorded facts.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use serde_json::Value;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use super::banks::Tokens;
use super::deck::rng;
use super::faults::Faults;
use super::script::{Ending, Scripts};
use super::signature::Secret;
use super::{Counts, mint};
use crate::files::Recorder;

/// Of this many ids, one has the maximum length.
const ONE_LONG_IN: u64 = 20;

/// A message of the bank about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Our reference, the opening's id.
    pub reference: String,
    pub tracking_id: String,
    pub market: String,
    /// `INITIATED`, `IN_PROGRESS`, `ON_HOLD`, `COMPLETED` or `REJECTED`.
    pub status: &'static str,
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub rejection_reason: Option<String>,
}

/// A request at the bank.
pub struct Request {
    pub word: Word,
    /// The number of the opening.
    pub opening: u64,
    /// Its index among the requests of the same opening.
    pub place: u64,
    pub ending: Ending,
    /// The reason of a refusal.
    pub reason: &'static str,
    /// Whether the decision is made or being recorded.
    pub deciding: bool,
    pub updated_at: i64,
    pub created_at: i64,
    pub decided_at: Option<i64>,
    /// `company`, `freelancer` or `individual`.
    pub customer_type: String,
    pub currency: String,
    pub profile_id: String,
    /// The submission as it came, for banks that show it again.
    pub terms: Value,
}

/// The opening that a profile was made for.
#[derive(Clone, Debug)]
pub struct Owner {
    pub reference: String,
    /// The number of the opening.
    pub opening: u64,
    pub market: String,
    pub customer_type: String,
}

pub type Answer = (StatusCode, Value);

/// The first answer under a key and the digest of its request.
type First = Arc<OnceCell<([u8; 32], Answer)>>;

pub struct World {
    pub seed: u64,
    pub ledger: Recorder,
    pub history: Recorder,
    pub event_secret: Secret,
    pub scripts: Scripts,
    pub faults: Faults,
    pub stop: CancellationToken,
    /// Submissions without a key of their own wait for each other.
    pub submitting: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

pub struct State {
    pub counts: Counts,
    pub requests: Vec<Request>,
    pub by_id: HashMap<String, usize>,
    /// By the profile's id.
    pub owners: HashMap<String, Owner>,
    pub tokens: Tokens,
    /// Whether late requests may be decided.
    pub late_speak: bool,
    pub rng: StdRng,
    firsts: HashMap<(&'static str, String), First>,
    made: HashMap<(&'static str, String), u64>,
    /// The number of ids per prefix.
    named: HashMap<&'static str, u64>,
    listener: Option<mpsc::UnboundedSender<Word>>,
}

impl World {
    pub fn new(seed: u64, ledger: Recorder, history: Recorder, event_secret: Secret) -> Self {
        let state = State {
            counts: Counts::default(),
            requests: Vec::new(),
            by_id: HashMap::new(),
            owners: HashMap::new(),
            tokens: Tokens::default(),
            late_speak: false,
            rng: rng(seed, "provider", 0),
            firsts: HashMap::new(),
            made: HashMap::new(),
            named: HashMap::new(),
            listener: None,
        };
        Self {
            seed,
            ledger,
            history,
            event_secret,
            scripts: Scripts::new(seed),
            faults: Faults::new(seed),
            stop: CancellationToken::new(),
            submitting: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an effect once per key. Concurrent calls with the same key wait for the same answer.
    pub async fn once<F>(&self, kind: &'static str, key: &str, digest: [u8; 32], make: F) -> Answer
    where
        F: Future<Output = std::io::Result<Answer>>,
    {
        let first = Arc::clone(self.state().firsts.entry((kind, key.to_owned())).or_default());
        let answered = first.get_or_try_init(|| async { Ok::<_, std::io::Error>((digest, make.await?)) }).await;
        match answered {
            Ok((of, answer)) if *of == digest => answer.clone(),
            Ok(_) => super::calls::refusal(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            // Not on disk, so it has not happened.
            Err(_) => super::calls::refusal(StatusCode::INTERNAL_SERVER_ERROR, "ledger"),
        }
    }

    /// A new id for an effect of an opening, and its index among those of its kind.
    pub fn name(&self, prefix: &'static str, reference: &str) -> (String, u64) {
        let mut state = self.state();
        let made = state.made.entry((prefix, reference.to_owned())).or_default();
        let place = std::mem::replace(made, *made + 1);
        let named = state.named.entry(prefix).or_default();
        *named += 1;
        let (id, is_long) = (mint::id(prefix, self.seed, reference, place), named.is_multiple_of(ONE_LONG_IN));
        (if is_long { mint::long(&id) } else { id }, place)
    }

    /// Sends the bank's messages to the returned receiver from now on.
    pub fn listen(&self) -> mpsc::UnboundedReceiver<Word> {
        let (words, listener) = mpsc::unbounded_channel();
        self.state().listener = Some(words);
        listener
    }

    pub fn any_request(&self, rng: &mut impl Rng) -> Option<Word> {
        let state = self.state();
        let at = (!state.requests.is_empty()).then(|| rng.random_range(0..state.requests.len()))?;
        state.requests.get(at).map(|it| it.word.clone())
    }
}

impl State {
    pub fn say(&self, word: Word) {
        if let Some(listener) = &self.listener {
            let _ = listener.send(word);
        }
    }

    pub fn insert(&mut self, request: Request) -> usize {
        let at = self.requests.len();
        self.by_id.insert(request.word.tracking_id.clone(), at);
        self.counts.requests += 1;
        self.requests.push(request);
        at
    }
}
