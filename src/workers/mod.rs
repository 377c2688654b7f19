//! Background work beside inbox and outbox: the poller, the backfill, the sweeper, and a few periodic tasks that keep memory and
//! database in step.
//!
//! A worker is a `tick()` that takes no input, may run twice, and returns typed counts; `crate::driver` runs it.

pub mod backfill;
pub mod backlog;
mod gated_work;
pub mod poller;
pub mod secret_uses;
pub mod sweeper;
pub mod webhook_marks;
