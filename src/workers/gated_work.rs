//! Which work passes which gates: the wiring between the outbox's topics and the systems that their calls go to.

use std::sync::Arc;

use futures::FutureExt;

use super::backfill;
use crate::clock::Time;
use crate::context::Context;
use crate::db::backfills::Cause;
use crate::db::timers::PollCapacity;
use crate::db::{WITHIN, conclude};
use crate::domain::Topic;
use crate::outbound::capacity::GatedWork;
use crate::outbound::{BreakerOverrides, Gate, Recovery};
use crate::provider::{OPEN, Provider, SUBMIT};
use crate::services::Tracker;
use crate::shell::Shell;
use crate::sinks::HttpSink;

impl Context {
    /// The outbox work of a topic. A row's call passes one gate; a ticket's calls pass all gates of the tracker.
    #[must_use]
    pub fn gated_work(&self, topic: Topic) -> Vec<GatedWork> {
        let outside = &self.outside;
        let wake = self.cell.wakers.relay(topic);
        let work = |lane, gates| GatedWork { topic, lane, gates, wake: Arc::clone(wake) };
        // The lane of a provider's work begins with its name.
        let of_provider = |it: &Arc<dyn Provider>, operation| {
            let gates = it.needs().into_iter().chain([outside.gates.gate(it.name(), operation)]).collect();
            work(Some(it.name().to_owned()), gates)
        };
        match topic {
            Topic::CreateProfile => vec![work(None, vec![outside.profiles.gate().clone()])],
            Topic::SubmitRequest => outside.providers.all().map(|it| of_provider(it, SUBMIT)).collect(),
            Topic::OpenAccount => {
                let blocking = outside.providers.all().filter(|it| it.capabilities().blocking);
                blocking.map(|it| of_provider(it, OPEN)).collect()
            }
            Topic::IssueCard => vec![work(None, vec![outside.cards.gate().clone()])],
            Topic::DeliverEvent => {
                let of_sink = |it: &HttpSink| work(Some(it.name().to_owned()), vec![it.gate().clone()]);
                outside.sinks.all().map(of_sink).collect()
            }
            Topic::OpenTicket | Topic::CloseTicket => {
                let gates = |it: &Tracker| it.gates().into_iter().cloned().collect();
                outside.tracker.iter().map(|it| work(None, gates(it))).collect()
            }
        }
    }

    /// How many openings of each provider may be polled now, at most `most` of each.
    #[must_use]
    pub fn poll_capacity(&self, most: usize) -> Vec<PollCapacity> {
        let capacity = |it: &Arc<dyn Provider>| {
            let gates = self.outside.poll_gates(it.name());
            let most = gates.iter().map(Gate::capacity).min().unwrap_or_default().min(most);
            PollCapacity { provider: it.name(), most }
        };
        self.outside.providers.all().map(capacity).collect()
    }

    #[must_use]
    pub fn breaker_overrides(&self) -> BreakerOverrides {
        let Self { shell, cell, outside, .. } = self.clone();
        BreakerOverrides { pool: cell.pool, gates: outside.gates, faults: shell.faults }
    }

    #[must_use]
    pub fn recovery(&self) -> Recovery {
        let Self { shell, cell, outside, .. } = self.clone();
        let work = Topic::ALL.iter().flat_map(|topic| self.gated_work(*topic)).collect();
        let context = self.clone();
        let on_return = Arc::new(move |system: String, away_since| {
            let context = context.clone();
            async move { context.returned(&system, away_since).await }.boxed()
        });
        let (pool, gates, Shell { clock, faults, .. }) = (cell.pool, outside.gates, shell);
        Recovery { pool, clock, gates, work, on_return, faults }
    }

    /// Polls were not claimed while a provider was away, and webhooks that it sent meanwhile may be lost.
    async fn returned(&self, system: &str, away_since: Option<Time>) -> sqlx::Result<()> {
        if self.outside.providers.get(system).is_none() {
            return Ok(());
        }
        self.cell.wakers.poller.notify_one();
        let mut connection = self.cell.pool.acquire().await?;
        let requesting = backfill::request_for(&mut connection, self, system, Cause::Breaker, away_since);
        let result = tokio::time::timeout(WITHIN, requesting).await;
        conclude(connection, result).map(|_: Option<uuid::Uuid>| ())
    }
}
