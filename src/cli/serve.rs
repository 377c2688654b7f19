//! `serve`: the service.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::Misconfigured;
use crate::app::{App, Database, Parts, history_key};
use crate::clock::Clock;
use crate::config::{RawSettings, SettingError, Settings};

/// What of the grace period is left for closing the database.
const CLOSING: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: RawSettings,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.settings.checked().map_err(Misconfigured::from)?;
    super::init_logs(super::log_filter("LOG", &settings.log)?, settings.log_format)?;
    // From here on: a start that waits for its database ends as well, also as process 1 of a container, which no signal
    // ends that it does not listen to.
    let mut stop = std::pin::pin!(super::asked_to_stop()?);
    let grace = settings.shutdown_grace;
    let (app, database) = tokio::select! {
        started = start(settings) => started?,
        () = &mut stop => return Ok(()),
    };
    stop.await;
    let deadline = Instant::now() + grace;
    app.stop(deadline - CLOSING).await;
    // What the database does not close in time, its supervisor ends when this process does.
    let _ = tokio::time::timeout_at(deadline, database.close()).await;
    Ok(())
}

async fn start(settings: Settings) -> anyhow::Result<(App, Database)> {
    let database = Database::open(&settings.database).await.map_err(super::refused)?;
    database.check_role(settings.environment).await.map_err(super::refused)?;
    let key = history_key(&database.pool, settings.history_key.as_ref(), &settings.database.data_dir);
    let key = key.await.map_err(super::refused_key)?;
    if !settings.clock_offset.is_zero() {
        let milliseconds = settings.clock_offset.num_milliseconds();
        tracing::warn!(milliseconds, "CLOCK_OFFSET: the clock is made wrong");
    }
    let clock = Clock::wrong_by(settings.clock_offset);
    let app = Parts::new(settings, database.pool.clone(), key, clock)?.run().await.map_err(misconfigured)?;
    Ok((app, database))
}

/// A setting that does not fit the machine is wrong configuration, like one that fits nowhere.
fn misconfigured(error: anyhow::Error) -> anyhow::Error {
    error.downcast::<SettingError>().map_or_else(|error| error, |wrong| Misconfigured::from(vec![wrong]).into())
}
