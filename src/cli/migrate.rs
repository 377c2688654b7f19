//! `migrate`: the schema, as its owner.

use anyhow::anyhow;
use clap::Args;
use secrecy::ExposeSecret;

use super::Misconfigured;
use crate::app::Database;
use crate::config::RawDatabase;
use crate::db::{connect_for_migrations, describe, migrations};

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
    let connecting = connect_for_migrations(url.expose_secret(), &settings.schema);
    let mut connection =
        connecting.await.map_err(|error| anyhow!(describe(&error)).context("the database does not answer"))?;
    let migrating = migrations::migrate(&mut connection, &settings.schema).await;
    migrating.map_err(|error| anyhow!(migrations::explain(&error)).context("migrating"))?;
    println!("schema {} is current", settings.schema);
    Ok(())
}
