//! The edge: the public listener takes webhooks and nothing else, the internal one serves callers, operators and machines.

pub mod body;
mod head_timer;
pub mod health;
mod heart;
pub mod internal;
pub mod listener;
mod outgoing;
pub mod problem;
pub mod public;
pub mod request_id;

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::db::advance::EffectContext;
use crate::faults::FaultPoint;
use crate::heard::Heard;
use crate::http::internal::flags::Flags;
use crate::http::internal::openings::{Lookout, Starts};
use crate::ingest::Ingest;
use crate::outbound::Gates;
use crate::provider::{Providers, SecretUses};
use crate::refused_webhooks::RefusedWebhooks;
use crate::workers::Wakers;

/// What handlers need.
#[derive(Clone)]
pub struct AppState {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Ids.
    pub ids: Ids,
    /// Writes decisions.
    pub effect_context: EffectContext,
    /// The banks.
    pub providers: Providers,
    /// What stands before each call out.
    pub gates: Gates,
    /// When providers were last heard of.
    pub heard: Heard,
    /// The way in for messages.
    pub ingest: Ingest,
    /// The way in for what is refused.
    pub refused_webhooks: RefusedWebhooks,
    /// Which secrets verify webhooks.
    pub secret_uses: SecretUses,
    /// Wakes workers.
    pub wakers: Wakers,
    /// Where tests let steps fail.
    pub faults: FaultPoint,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The flag's rules, as this process knows them.
    pub flags: Flags,
    /// Openings that wait to be written.
    pub starts: Starts,
    /// Who waits for an opening to be decided.
    pub lookout: Lookout,
    /// Cancelled when the service stops: nobody is kept waiting.
    pub stopping: CancellationToken,
}
