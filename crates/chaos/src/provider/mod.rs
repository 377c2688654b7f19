//! The outside world: the bank, the profile service, the card issuer and a subscriber, on one listener.
//!
//! It is the measure of what truly happened. An effect is made once per Idempotency-Key, as the contract has it, and is in
//! the ledger on disk before anybody hears of it; another key for the same opening makes a second effect, which the ledger
//! shows. Scripts depend on the seed and the opening's number alone, so that a run can be compared with another.

mod bank;
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

pub use self::deck::{Deck, rng};
pub use self::mint::{STRANGER, bic, iban};
pub use self::signature::{ID, SIGNATURE, Secret, TIMESTAMP};
pub use self::wire::sent;
pub use self::world::{Word, World};
use crate::files::Recorder;
use crate::record::Fault;

/// What the outside world is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; none: a free port of 127.0.0.1.
    pub port: Option<u16>,
    /// What the scripts are made from.
    pub seed: u64,
    /// What the service signs events with: `whsec_…`.
    pub event_secret: String,
}

/// The outside world; a clone is the same one.
#[derive(Clone)]
pub struct Provider {
    address: SocketAddr,
    event_secret: String,
    world: Arc<World>,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Profiles made.
    pub profiles: u64,
    /// Account requests taken.
    pub requests: u64,
    /// Of these, completed.
    pub completed: u64,
    /// Of these, rejected.
    pub rejected: u64,
    /// Cards issued.
    pub cards: u64,
    /// Calls that met a fault.
    pub suffered: u64,
    /// Events that the subscriber took.
    pub delivered: u64,
    /// Events that the subscriber refused, because their signature is wrong.
    pub badly_signed: u64,
}

impl Provider {
    /// Starts to listen. `ledger` takes `Did`, `history` the subscriber's `Seen::Delivered`.
    pub async fn start(config: Config, ledger: Recorder, history: Recorder) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port.unwrap_or(0)));
        let listener = TcpListener::bind(address).await.with_context(|| format!("the provider's address {address}"))?;
        let address = listener.local_addr()?;
        let world = Arc::new(World::new(config.seed, ledger, history, Secret::parse(&config.event_secret)?));
        let routes = bank::router().merge(makers::router()).merge(sink::router()).with_state(Arc::clone(&world));
        let stop = world.stop.clone().cancelled_owned();
        let without_delay = |stream: &mut TcpStream| drop(stream.set_nodelay(true));
        let served = axum::serve(listener.tap_io(without_delay), routes).with_graceful_shutdown(stop);
        tokio::spawn(async move { served.await });
        Ok(Self { address, event_secret: config.event_secret, world })
    }

    /// The base URL: `NEXUSBANK_BASE_URL`, `PROFILE_SERVICE_URL`, `CARD_SERVICE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The subscriber, as `EVENT_SUBSCRIBERS` takes it.
    pub fn subscriber(&self) -> String {
        format!("{}/events|{}", self.url(), self.event_secret)
    }

    /// From now on this share (0 to 1) of the calls meets the fault, which is one of the provider's; none ends it, and lets
    /// go of the calls that hang.
    pub fn strike(&self, fault: Option<Fault>, share: f64) {
        self.world.faults.strike(fault, share);
    }

    /// Lets the bank decide, within two seconds, half of what it is silent about; the other half stays silent for ever. How
    /// many are decided.
    pub fn finish_silent(&self) -> usize {
        life::finish_silent(&self.world)
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.world.state().counts
    }

    /// Ends the listener and the scripts.
    pub fn stop(&self) {
        self.world.stop.cancel();
    }

    /// What the load speaks for: the bank's words, and its requests.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }
}
