//! `serve`: runs the service.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::Misconfigured;
use crate::app::{App, Database, Parts, evidence_key, history_key};
use crate::clock::Clock;
use crate::config::{RawSettings, Settings};
use crate::report_files::profile::Profiles;
use crate::settings::SettingError;

/// The part of the grace period reserved for closing the database.
const CLOSING: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: RawSettings,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.settings.checked().map_err(Misconfigured::from)?;
    Profiles::of(&settings.reconciliation.report_profiles).map_err(|errors| super::refused_profiles(&errors))?;
    super::init_logs(super::log_filter("LOG", &settings.log)?, settings.log_format)?;
    // Listen before the start: a start that waits for its database must stop on a signal, too. As process 1 of a
    // container, a process only receives signals that it handles.
    let mut stop = std::pin::pin!(super::asked_to_stop()?);
    let grace = settings.shutdown_grace;
    let (app, database) = tokio::select! {
        started = start(settings) => started?,
        () = &mut stop => return Ok(()),
    };
    stop.await;
    let deadline = Instant::now() + grace;
    app.stop(deadline - CLOSING).await;
    // The private cluster's supervisor stops what is not closed in time.
    let _ = tokio::time::timeout_at(deadline, database.close()).await;
    Ok(())
}

async fn start(mut settings: Settings) -> anyhow::Result<(App, Database)> {
    let database = Database::open(&settings.database).await.map_err(super::refused)?;
    database.check_role(settings.environment).await.map_err(super::refused)?;
    let key = history_key(&database.pool, settings.history_key.as_ref(), &settings.database.data_dir);
    let key = key.await.map_err(super::refused_key)?;
    let signing =
        evidence_key(settings.evidence_key.as_ref(), &settings.database.data_dir).map_err(super::refused_key)?;
    tracing::info!(key.public.sha256 = signing.public().fingerprint(), "evidence is signed with this key");
    settings.evidence_key = Some(signing);
    if !settings.clock_offset.is_zero() {
        let milliseconds = settings.clock_offset.num_milliseconds();
        tracing::warn!(milliseconds, "CLOCK_OFFSET is set; the service's clock is wrong on purpose");
    }
    for warning in settings.adapters.iter().flat_map(|it| it.warnings()) {
        tracing::warn!("{warning}");
    }
    let clock = Clock::wrong_by(settings.clock_offset);
    let app = Parts::new(settings, database.pool.clone(), key, clock)?.run().await.map_err(misconfigured)?;
    Ok((app, database))
}

/// A setting that does not fit this machine is a configuration error, too.
fn misconfigured(error: anyhow::Error) -> anyhow::Error {
    error.downcast::<SettingError>().map_or_else(|error| error, |wrong| Misconfigured::from(vec![wrong]).into())
}
