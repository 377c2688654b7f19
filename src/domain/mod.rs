//! The business logic: pure, with no I/O, no clock and no randomness.
//!
//! [`start`] makes an opening; [`decide`] says what the next fact changes. Both return the opening afterwards, the
//! steps it took and the effects it needs. The shell (`inbox::InboxWorker`, `acts::start`) adds ids and jitter and
//! commits everything in one transaction. A test keeps crates that do I/O out of this folder.

#![warn(missing_docs)]

pub mod bank;
pub mod chain;
pub mod compare;
mod decide;
pub mod effect;
pub mod event;
pub mod fee;
pub mod flag;
pub mod ids;
pub mod next;
pub mod opening;
pub mod policy;
pub mod request;
pub mod resolution;
pub mod resource;
pub mod retry;
pub mod say;
pub mod signature;
pub(crate) mod text;
pub mod verify;

pub use decide::{decide, start};
pub use effect::{Case, CaseKind, Command, Decision, Effect, EventType, Outcome, Step, TicketKind, Topic};
pub use event::{Event, Fact, Knowledge, PollOutcome, Report, Source, Verdict};
pub use ids::{ActId, CardId, InboxId, OpeningId, ProfileId, ProviderRef};
pub use opening::{Account, Ending, Opening, Remains, State, StateName, Status, Wait};
pub use policy::Policy;
pub use request::{Customer, CustomerType, Flow, Request};
pub use resolution::Resolution;

#[cfg(test)]
mod tests;
