//! [`FaultPoint`]: tests make a step of a worker, of a webhook on its way in or of a start fail, before or after it. A running
//! service has none.
//!
//! The other faults stand outside the service: the simulated world, the proxy in front of Postgres (`crates/chaos`), and a
//! process whose clock is wrong (`CLOCK_OFFSET`).

#[cfg(feature = "broken")]
pub mod broken;
mod point;

pub use point::{FaultPoint, Place, Step, When};
