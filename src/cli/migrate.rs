//! `migrate`: applies migrations as the schema's owner and grants the service's role its rights.
//!
//! Migrations and grants are separate commits, and both are idempotent. After a crash between them the service refuses
//! to start for lack of a right; the next run grants it.

use anyhow::{Context as _, anyhow};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use sqlx::migrate::MigrateError;

use super::Misconfigured;
use crate::app::{Database, unfit};
use crate::config::{self, RawDatabase};
use crate::db::{connect_for_migrations, describe, migrations, read_url, roles};
use crate::settings::SettingError;
use crate::telemetry::LogFormat;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: RawDatabase,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.database.checked().map_err(Misconfigured::from)?;
    // Logs warnings only, such as waiting for a lock.
    super::init_logs(super::log_filter("LOG", "warn")?, LogFormat::Text)?;
    let Some(url) = settings.migration_url.as_ref().or(settings.url.as_ref()) else {
        // Opening the private cluster also migrates it.
        Database::open(&settings).await.map_err(super::refused)?.close().await;
        println!("the private cluster in {} is current", settings.data_dir.display());
        return Ok(());
    };
    let service = settings.url.as_ref().map(user).transpose()?;
    let owner = user(url)?;
    let name = if settings.migration_url.is_some() { "MIGRATION_DATABASE_URL" } else { "DATABASE_URL" };
    let connecting = connect_for_migrations(url.expose_secret(), &settings.schema);
    let mut connection = connecting.await.map_err(|error| refused(name, &error, "connecting to the database"))?;
    let grantee = service.as_ref().filter(|service| **service != owner);
    // Checked first, before anything changes.
    if let Some(role) = grantee {
        must_exist(&mut connection, role).await?;
    }
    let migrating = migrations::until_unlocked(async || migrations::migrate(&mut connection, &settings.schema).await);
    migrating.await.map_err(|error| match &error {
        MigrateError::Execute(error) => refused(name, error, "migrating"),
        error => anyhow!(migrations::explain(error)).context("migrating"),
    })?;
    println!("schema {} is current", settings.schema);
    match grantee {
        Some(role) => {
            grant(&mut connection, &settings, role).await?;
            println!("granted the service's rights in schema {} to {role}", settings.schema);
        }
        None if service.is_none() => {
            println!("no rights granted: DATABASE_URL, which names the service's role, is not set");
        }
        None => println!("no rights granted: DATABASE_URL names {owner}, which also runs the migrations"),
    }
    Ok(())
}

/// An unfit database is a configuration error; any other error failed while `doing`.
fn refused(name: &'static str, error: &sqlx::Error, doing: &'static str) -> anyhow::Error {
    unfit(name, error)
        .map_or_else(|| anyhow!(describe(error)).context(doing), |wrong| Misconfigured::from(vec![wrong]).into())
}

/// The login role of a URL.
fn user(url: &SecretString) -> anyhow::Result<String> {
    Ok(read_url(url.expose_secret())?.get_username().to_owned())
}

async fn must_exist(connection: &mut PgConnection, role: &str) -> anyhow::Result<()> {
    let exists = roles::exists(connection, role).await.map_err(|error| anyhow!(describe(&error)));
    if exists.context("looking up the service's role")? {
        return Ok(());
    }
    let error = SettingError {
        name: "DATABASE_URL",
        problem: format!("names the role {role:?}, which does not exist"),
        expected: "the service's role: create it first (`create role … login`); `account-opening migrate` then grants \
                   its rights"
            .to_owned(),
    };
    Err(Misconfigured::from(vec![error]).into())
}

async fn grant(connection: &mut PgConnection, settings: &config::Database, role: &str) -> anyhow::Result<()> {
    let exactly = !migrations::is_newer(connection).await.context("reading the schema's version")?;
    let granting =
        migrations::until_unlocked(async || Ok(roles::grant(connection, &settings.schema, role, exactly).await?));
    granting
        .await
        .map_err(|error| anyhow!(migrations::explain(&error)))
        .with_context(|| format!("granting rights to {role} in schema {}", settings.schema))
}
