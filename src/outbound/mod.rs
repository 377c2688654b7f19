//! Calls to other systems.
//!
//! Every call leaves through one [`Client`], so that no adapter can forget a deadline, a breaker or the meaning of a status.
//!
//! | file | what it holds |
//! |---|---|
//! | `client.rs` | sends a request through its gate, within its deadline and size |
//! | `answer.rs` | the meaning of a status, once for all systems |
//! | `error.rs` | [`CallError`]: outage, unusable, rejected, deferred |
//! | `gate.rs`, `breaker.rs` | permits and circuit breaker of one operation |
//! | `capacity.rs`, `budget.rs` | how much work may be claimed for calls and polls |
//! | `overrides.rs` | operators' overrides of breakers, on every replica |
//! | `token.rs` | one access token, renewed before it ends, for systems that give such tokens |
//! | `recovery.rs` | work that waited for an outage becomes due when it ends |
//! | `json.rs` | JSON as other systems write it |
//!
//! The module knows no provider and no service: they name their operations and bring their own form of a refusal.

mod answer;
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
mod token;

pub use self::answer::{Answer, ReadRefusal, is_code, read_refusal, retry_after};
pub use self::budget::PollBudget;
pub use self::client::Client;
pub use self::error::CallError;
pub use self::gate::{Gate, Gates, Reopened};
pub use self::overrides::BreakerOverrides;
pub use self::recovery::{OnReturn, Recovered, Recovery};
pub use self::token::{Bearer, Token};
