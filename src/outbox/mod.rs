//! The outbox: makes the calls that decisions asked for, and reports their results as facts.
//!
//! ```text
//! relay.rs       one loop for every kind of work: claim, prepare, call, settle
//! kind.rs        what the loop asks of a kind of work
//! commands.rs    the steps of an opening: profile, submission, card
//! deliveries.rs  events to sinks
//! tickets.rs     tickets at the tracker
//! ```

mod commands;
mod deliveries;
mod kind;
mod relay;
mod tickets;

use std::sync::Arc;

use async_trait::async_trait;

use self::commands::Commands;
use self::deliveries::Deliveries;
pub use self::relay::Relayed;
use self::tickets::Tickets;
use crate::context::Context;
use crate::domain::Topic;
use crate::driver::{TickError, Worker};

/// The worker for one topic: a slow system holds up its own topic alone.
#[derive(Clone)]
pub struct Relay(Arc<dyn Worker<Counts = Relayed>>);

impl Relay {
    #[must_use]
    pub fn of(context: Context, topic: Topic) -> Self {
        Self(match topic {
            Topic::CreateProfile | Topic::SubmitRequest | Topic::OpenAccount | Topic::IssueCard => {
                Arc::new(relay::Loop::new(context.clone(), Commands { context, topic }))
            }
            Topic::DeliverEvent => Arc::new(relay::Loop::new(context.clone(), Deliveries { context })),
            Topic::OpenTicket | Topic::CloseTicket => {
                Arc::new(relay::Loop::new(context.clone(), Tickets { context, topic }))
            }
        })
    }
}

#[async_trait]
impl Worker for Relay {
    type Counts = Relayed;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn tick(&self) -> Result<Relayed, TickError> {
        self.0.tick().await
    }
}
