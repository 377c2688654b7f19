//! `migrate`: the schema, as its owner.

use anyhow::Context;
use clap::Args;
use secrecy::ExposeSecret;

use super::Misconfigured;
use crate::app::Database;
use crate::config::RawDatabase;
use crate::db::{PoolOptions, connect, migrations};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: RawDatabase,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.database.checked().map_err(Misconfigured::from)?;
    let Some(url) = settings.migration_url.as_ref().or(settings.url.as_ref()) else {
        // The private cluster is migrated whenever it is opened.
        Database::open(&settings).await?.close().await;
        println!("the private cluster in {} is current", settings.data_dir.display());
        return Ok(());
    };
    let options = PoolOptions {
        url: url.expose_secret().to_owned(),
        schema: settings.schema.clone(),
        max_connections: 1,
        acquire_timeout: std::time::Duration::from_secs(30),
    };
    let pool = connect(&options).context("the database URL cannot be used")?;
    let mut connection = pool.acquire().await.context("the database does not answer")?;
    migrations::migrate(&mut connection, &settings.schema).await.context("migrating")?;
    println!("schema {} is current", settings.schema);
    Ok(())
}
