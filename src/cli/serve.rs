//! `serve`: the service.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::Misconfigured;
use crate::app::{Database, OpenError, Parts, history_key};
use crate::clock::Clock;
use crate::config::RawSettings;

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
    let database = match Database::open(&settings.database).await {
        Ok(database) => database,
        Err(error @ OpenError::OlderSchema { .. }) => return Err(Misconfigured(vec![error.to_string()]).into()),
        Err(error) => return Err(error.into()),
    };
    let key = history_key(&settings)?;
    let grace = settings.shutdown_grace;
    let app = Parts::new(settings, database.pool.clone(), key, Clock::system())?.run().await?;
    super::asked_to_stop().await?;
    let deadline = Instant::now() + grace;
    app.stop(deadline - CLOSING).await;
    // What the database does not close in time, its supervisor ends when this process does.
    let _ = tokio::time::timeout_at(deadline, database.close()).await;
    Ok(())
}
