//! Builds the parts of the service and connects them, without starting anything.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::acts::Acts;
use crate::acts::flags::Flags;
use crate::acts::start::StartBatcher;
use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::context::{Context, Policies};
use crate::db::advance::EffectContext;
use crate::db::timers::ClaimCursor;
use crate::domain::chain::HistoryKey;
use crate::driver::Wakers;
use crate::faults::FaultPoint;
use crate::http::AppState;
use crate::http::dashboard::live::Live;
use crate::inbox::{Bounds, Ingest};
use crate::outbound::{Client, Gates};
use crate::provider::{self, Providers, SecretUses};
use crate::refused_webhooks::RefusedWebhooks;
use crate::services::{CardIssuer, ProfileService, Tracker};
use crate::shell::{Cell, Outside, Shell};
use crate::sinks::Sinks;
use crate::telemetry;
use crate::webhook_activity::WebhookActivity;
use crate::workers::sweeper::SWEEPS;

pub struct Parts {
    /// The state of the listeners' handlers.
    pub state: AppState,
    pub context: Context,
    pub(super) ingest: JoinHandle<()>,
    pub(super) refused_webhooks: JoinHandle<()>,
}

impl Parts {
    /// Builds the service on a database with a current schema.
    ///
    /// # Errors
    /// If an HTTP client or the metrics cannot be set up.
    pub fn new(settings: Settings, pool: PgPool, key: HistoryKey, clock: Clock) -> anyhow::Result<Self> {
        #[cfg(feature = "broken")]
        crate::faults::broken::keep(&pool);
        let metrics = telemetry::recorder().map_err(anyhow::Error::msg).context("the metrics")?;
        let context = context(&settings, pool, key, clock)?;
        telemetry::metrics::begin_at_zero(&context.outside.providers.names().collect::<Vec<_>>(), &SWEEPS);
        let Context { shell, cell, outside, webhook_activity, secret_uses, .. } = context.clone();
        let (ingest, ingest_task) = Ingest::start(
            cell.pool.clone(),
            shell.clock.clone(),
            shell.ids.clone(),
            Arc::clone(&cell.wakers.inbox),
            Bounds { messages: settings.ingest_queue, bytes: settings.ingest_queue_bytes },
            settings.burst_dedup_ttl,
            shell.faults.clone(),
        );
        let (refused_webhooks, refused_webhooks_task) = RefusedWebhooks::start(
            cell.pool.clone(),
            shell.ids.clone(),
            shell.faults.clone(),
            settings.rejected_max_bytes,
        );
        let acts = Acts {
            settings: Arc::new(settings),
            shell,
            cell,
            outside,
            ingest,
            secret_uses,
            flags: Flags::default(),
            starts: StartBatcher::default(),
            waiting_reads: Arc::new(Semaphore::new(1)),
            stopping: CancellationToken::new(),
            form: None,
        };
        let state = AppState { acts, webhook_activity, refused_webhooks, metrics, live: Live::default() };
        Ok(Self { state, context, ingest: ingest_task, refused_webhooks: refused_webhooks_task })
    }
}

fn context(settings: &Settings, pool: PgPool, key: HistoryKey, clock: Clock) -> anyhow::Result<Context> {
    let outside = outside(settings, &clock)?;
    let ids = Ids::new(clock.clone());
    let effect_context = effect_context(settings, ids.clone(), key);
    Ok(Context {
        shell: Shell { clock, ids, faults: FaultPoint::default() },
        cell: Cell { pool, effect_context, wakers: Wakers::default() },
        outside,
        policies: policies(settings),
        claim_cursor: ClaimCursor::default(),
        webhook_activity: WebhookActivity::default(),
        secret_uses: SecretUses::default(),
        abort_calls: CancellationToken::new(),
    })
}

fn outside(settings: &Settings, clock: &Clock) -> anyhow::Result<Outside> {
    let client = Client::new(settings.provider_timeout).context("setting up the HTTP client")?;
    let limits = settings.adapters.iter().filter_map(|it| Some((it.name(), it.limits().calls_at_once?)));
    let gates = Gates::limited(settings.breaker, settings.provider_concurrency, clock.clone(), limits);
    let parts = provider::Parts { client: &client, gates: &gates, blocking: settings.sync_provider_timeout };
    let providers = Providers::new(settings.adapters.iter().map(|it| (it.build(&parts), it.limits().clone())));
    Ok(Outside {
        poll_budget: providers.poll_budget(),
        providers,
        profiles: ProfileService::new(settings.profile_service_url.clone(), client.clone(), &gates),
        cards: CardIssuer::new(settings.card_service_url.clone(), client.clone(), &gates),
        sinks: Sinks::new(&settings.event_subscribers, &client, &gates),
        tracker: settings.tracker.clone().map(|it| Tracker::new(it, client, &gates)),
        gates,
    })
}

fn policies(settings: &Settings) -> Policies {
    let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    Policies {
        policy: settings.policy.clone(),
        retry: settings.retry.clone(),
        call_timeout: delta(settings.provider_timeout),
        blocking_call_timeout: delta(settings.sync_provider_timeout),
        lease_margin: settings.lease_margin,
        backfill_overlap: settings.catch_up_overlap,
        parked_ttl: settings.parked_ttl,
        max_waiting: settings.inbox_backlog,
        reconciliation: settings.reconciliation.clone(),
        archive_after: settings.archive_after,
        inbox_keys_for: settings.inbox_keys_for,
        session_idle: settings.dashboard.session_idle,
        session_max: settings.dashboard.session_max,
    }
}

fn effect_context(settings: &Settings, ids: Ids, key: HistoryKey) -> EffectContext {
    let sinks = settings.event_subscribers.iter().map(|it| it.name.clone()).collect();
    let (dashboard_url, tracker) = (settings.dashboard_url.clone(), settings.tracker.is_some());
    let price_list = settings.price_list.clone();
    EffectContext { ids, key, dashboard_url, sinks, tracker, price_list }
}
