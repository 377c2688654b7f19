//! [`FaultPoint`] lets tests fail a step of a worker, of webhook ingest or of a start, before or after it. A running
//! service has none.
//!
//! All other faults are outside the service: the simulated world, the proxy in front of Postgres (`crates/chaos`), and
//! a process with a wrong clock (`CLOCK_OFFSET`).

#[cfg(feature = "broken")]
pub mod broken;
mod point;

pub use point::{FaultPoint, Place, Step, When};
