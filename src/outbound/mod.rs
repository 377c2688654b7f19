//! Calls to other systems: one client, errors by meaning, and a gate (circuit breaker and bulkhead) before each operation.

pub mod breaker;
mod budget;
pub mod capacity;
mod client;
mod error;
mod gate;
pub mod json;
mod overrides;
mod recovery;
#[cfg(test)]
mod tests;

pub use self::budget::Budget;
pub use self::client::{Answer, Client, ReadRefusal, is_code, place, retry_after, sanitize};
pub use self::error::CallError;
pub use self::gate::{Closing, Closings, Gate, Gates, Key};
pub use self::overrides::{BreakerOverrides, TakenOver};
pub use self::recovery::{Recovered, Recovery};
