//! The outside world: bank, profile service, card issuer and a subscriber, on one listener.
//!
//! This world is the reference for what happened. An effect is made once per Idempotency-Key, as in the contract, and is in the
//! ledger on disk before it is answered. Another key for the same opening makes a second effect, which the ledger
//! shows. Scripts depend only on the seed and the opening's number, so that runs can be compared.

mod bank;
mod banks;
mod books;
mod calls;
mod deck;
mod faults;
mod life;
mod makers;
mod mint;
mod script;
mod signature;
mod sink;
#[cfg(test)]
mod tests;
mod wire;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, TcpStream};

pub use self::banks::{Bank, SubmissionKey};
pub use self::deck::{Deck, rng};
pub use self::mint::{STRANGER, bic, iban};
pub use self::signature::Secret;
pub use self::world::{Word, World};
use crate::files::Recorder;
use crate::record::Fault;
use ::world::reports::Entry;

#[derive(Clone, Debug)]
pub struct Config {
    pub bank: Bank,
    /// The port. None: a free port of 127.0.0.1.
    pub port: Option<u16>,
    /// The seed of the scripts.
    pub seed: u64,
    /// The secret of the service's events: `whsec_…`.
    pub event_secret: String,
}

/// The outside world; clones share it.
#[derive(Clone)]
pub struct Provider {
    address: SocketAddr,
    event_secret: String,
    world: Arc<World>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub profiles: u64,
    pub requests: u64,
    pub completed: u64,
    pub rejected: u64,
    pub cards: u64,
    /// Calls that met a fault.
    pub suffered: u64,
    /// Events acknowledged by the subscriber.
    pub delivered: u64,
    /// Events refused for a wrong signature.
    pub badly_signed: u64,
}

impl Provider {
    /// Starts to listen. `ledger` takes `Did`, `history` the subscriber's `Seen::Delivered`.
    pub async fn start(config: Config, ledger: Recorder, history: Recorder) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port.unwrap_or(0)));
        let listener = TcpListener::bind(address).await.with_context(|| format!("the provider's address {address}"))?;
        let address = listener.local_addr()?;
        let world = Arc::new(World::new(config.seed, ledger, history, Secret::parse(&config.event_secret)?));
        let routes = config.bank.router().merge(makers::router()).merge(sink::router()).with_state(Arc::clone(&world));
        let stop = world.stop.clone().cancelled_owned();
        let without_delay = |stream: &mut TcpStream| drop(stream.set_nodelay(true));
        let served = axum::serve(listener.tap_io(without_delay), routes).with_graceful_shutdown(stop);
        tokio::spawn(async move { served.await });
        Ok(Self { address, event_secret: config.event_secret, world })
    }

    /// The base URL of the bank, `PROFILE_SERVICE_URL` and `CARD_SERVICE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The subscriber, as `EVENT_SUBSCRIBERS` takes it.
    pub fn subscriber(&self) -> String {
        format!("{}/events|{}", self.url(), self.event_secret)
    }

    /// Applies the fault to this share (0 to 1) of the calls. None ends the fault and releases hanging calls.
    pub fn strike(&self, fault: Option<Fault>, share: f64) {
        self.world.faults.strike(fault, share);
    }

    /// Decides, within two seconds, half of the silent requests; the other half stays undecided. Returns how many are
    /// decided.
    pub fn finish_silent(&self) -> usize {
        life::finish_silent(&self.world)
    }

    pub fn counts(&self) -> Counts {
        self.world.state().counts
    }

    /// The bank's requests for its files, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        books::entries(&self.world.state())
    }

    pub fn stop(&self) {
        self.world.stop.cancel();
    }

    /// The world, for the load, which sends the bank's messages.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }
}
