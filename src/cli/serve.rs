//! `serve`: the service.

use clap::Args;

use super::Misconfigured;
use crate::app::{Database, OpenError, Parts, history_key};
use crate::clock::Clock;
use crate::config::RawSettings;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: RawSettings,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.settings.checked().map_err(Misconfigured::from)?;
    super::init_logs(&settings.log, settings.log_format)?;
    let database = match Database::open(&settings.database).await {
        Ok(database) => database,
        Err(error @ OpenError::OlderSchema { .. }) => return Err(Misconfigured(vec![error.to_string()]).into()),
        Err(error) => return Err(error.into()),
    };
    let key = history_key(&settings)?;
    let app = Parts::new(settings, database.pool.clone(), key, Clock::system())?.run().await?;
    super::asked_to_stop().await?;
    app.stop().await;
    database.close().await;
    Ok(())
}
