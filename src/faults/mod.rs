//! The seams at which tests bring in faults, beside the [simulator](crate::simulator): nothing else in the code knows of
//! failures that are made on purpose.
//!
//! * [`FaultPoint`]: an error before or after a step of a worker, of a webhook on its way in, or of a start. A running
//!   service has none.
//! * [`Proxy`]: between the service and Postgres; cuts, delays, loses answers, ignores what a session asks for.
//!
//! The third one is a process whose clock is wrong: `CLOCK_OFFSET`.

#[cfg(feature = "broken")]
pub mod broken;
mod frames;
mod point;
mod proxy;

pub use point::{FaultPoint, Place, Step, When};
pub use proxy::{Cut, Link, Proxy, Seen};
