//! Deliveries: each sends one event to one sink.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

use super::kind::{Answer, Failure, Kind};
use crate::context::Context;
use crate::db::events::{self, Event};
use crate::db::outbox::Claimed;
use crate::domain::Topic;
use crate::outbound::CallError;

pub(super) struct Deliveries {
    pub context: Context,
}

#[async_trait]
impl Kind for Deliveries {
    type Prepared = Event;
    type Found = ();

    fn topic(&self) -> Topic {
        Topic::DeliverEvent
    }

    async fn prepare(&self, connection: &mut PgConnection, claimed: &[Claimed]) -> sqlx::Result<Vec<Option<Event>>> {
        let ids: Vec<Uuid> = claimed.iter().filter_map(event_id).collect();
        let events = events::get(connection, &ids).await?.into_iter();
        let events: HashMap<Uuid, Event> = events.map(|it| (it.id, it)).collect();
        Ok(claimed.iter().map(|work| event_id(work).and_then(|id| events.get(&id).cloned())).collect())
    }

    async fn call(&self, work: &Claimed, _token: Uuid, event: Event) -> Result<Answer<()>, CallError> {
        let name = work.payload["sink"].as_str().unwrap_or_default();
        // The configuration no longer contains this sink.
        let Some(sink) = self.context.outside.sinks.get(name) else {
            return Ok(Answer::Taken("no_longer_subscribed", None));
        };
        sink.deliver(&event, self.context.shell.clock.now()).await?;
        Ok(Answer::Taken("sent", None))
    }

    /// A subscriber's no may be a passing mistake of theirs.
    fn on_failure(&self, error: &CallError) -> Failure<()> {
        if matches!(error, CallError::Rejected { .. }) { Failure::Counts } else { Failure::ByTheRules(None) }
    }
}

fn event_id(work: &Claimed) -> Option<Uuid> {
    work.payload["event_id"].as_str().and_then(|it| Uuid::parse_str(it).ok())
}
