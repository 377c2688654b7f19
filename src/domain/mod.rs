//! The business logic, and nothing else: no I/O, no clock, no randomness.
//!
//! [`start`] makes an opening, [`decide`] answers what one more fact means for it. Both return the opening as it is
//! afterwards, the steps it took and the effects it wants; the shell (`workers::inbox`, `http::internal`) adds ids and
//! jitter and commits all of it at once. A test keeps crates that do I/O out of this folder.

#![warn(missing_docs)]

pub mod bank;
pub mod chain;
mod decide;
pub mod effect;
pub mod event;
pub mod flag;
pub mod ids;
pub mod opening;
pub mod policy;
pub mod request;
pub mod resolution;
pub mod resource;
pub mod retry;
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
