//! `migrate`: the schema, as its owner, and the rights of the service's role.
//!
//! Migrations and grants are two commits, and both may be run again: after a crash between them the service lacks a right,
//! says so, and the next run grants it.

use anyhow::{Context as _, anyhow};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use sqlx::migrate::MigrateError;

use super::Misconfigured;
use crate::app::{Database, unfit};
use crate::config::{self, RawDatabase, SettingError};
use crate::db::{connect_for_migrations, describe, migrations, read_url, roles};
use crate::telemetry::LogFormat;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: RawDatabase,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.database.checked().map_err(Misconfigured::from)?;
    // That it waits for a lock, and nothing of what goes well.
    super::init_logs(super::log_filter("LOG", "warn")?, LogFormat::Text)?;
    let Some(url) = settings.migration_url.as_ref().or(settings.url.as_ref()) else {
        // The private cluster is migrated whenever it is opened.
        Database::open(&settings).await.map_err(super::refused)?.close().await;
        println!("the private cluster in {} is current", settings.data_dir.display());
        return Ok(());
    };
    let service = settings.url.as_ref().map(user).transpose()?;
    let owner = user(url)?;
    let name = if settings.migration_url.is_some() { "MIGRATION_DATABASE_URL" } else { "DATABASE_URL" };
    let connecting = connect_for_migrations(url.expose_secret(), &settings.schema);
    let mut connection = connecting.await.map_err(|error| refused(name, &error, "the database does not answer"))?;
    let grantee = service.as_ref().filter(|service| **service != owner);
    // Before anything is changed.
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
            println!("granted to {role}: what the service needs in schema {}", settings.schema);
        }
        None if service.is_none() => println!("granted to nobody: DATABASE_URL, the service's, is not set"),
        None => println!("granted to nobody: DATABASE_URL, the service's, names {owner} too, who migrates"),
    }
    Ok(())
}

/// What makes the database unfit is wrong configuration; everything else went wrong while `doing`.
fn refused(name: &'static str, error: &sqlx::Error, doing: &'static str) -> anyhow::Error {
    unfit(name, error)
        .map_or_else(|| anyhow!(describe(error)).context(doing), |wrong| Misconfigured::from(vec![wrong]).into())
}

/// The role that a URL logs in as.
fn user(url: &SecretString) -> anyhow::Result<String> {
    Ok(read_url(url.expose_secret())?.get_username().to_owned())
}

async fn must_exist(connection: &mut PgConnection, role: &str) -> anyhow::Result<()> {
    let exists = roles::exists(connection, role).await.map_err(|error| anyhow!(describe(&error)));
    if exists.context("asking for the service's role")? {
        return Ok(());
    }
    let error = SettingError {
        name: "DATABASE_URL",
        held: format!("names the role {role:?}, which does not exist"),
        takes: "the service's role: create it first, `create role … login`, and `account-opening migrate` grants it \
                what it needs"
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
        .with_context(|| format!("granting to {role} in schema {}", settings.schema))
}
