//! The schema and its version.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use sqlx::migrate::{Migrate, MigrateError};

use super::describe;
use super::roles::quoted;
use super::session::Unfit;

/// How long a lock that others hold is tried for, and the pause in which they get on.
const PATIENCE: Duration = Duration::from_mins(10);
const PAUSE: Duration = Duration::from_secs(1);

/// How the schema in the database compares to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The same, or a newer one that neighbours of ours run on.
    Usable,
    /// Migrations are missing, `migrate` must run first.
    Older {
        /// What the database has. 0: nothing.
        has: i64,
        /// What we need.
        needs: i64,
    },
}

/// What may be told about a failure, as [`describe`] has it.
#[must_use]
pub fn explain(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) => describe(error),
        MigrateError::ExecuteMigration(error, version) => format!("migration {version}: {}", describe(error)),
        error => error.to_string(),
    }
}

/// Applies what is missing, as the owner of the schema, on a session of that schema.
///
/// # Errors
/// When a migration fails, one that was applied has been changed since, or the session is of another schema.
pub async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<(), MigrateError> {
    let mut migrator = sqlx::migrate!();
    // A newer neighbour may have applied more than we know.
    migrator.set_ignore_missing(true);
    let (exists, current): (bool, Option<String>) =
        sqlx::query_as("-- migrations::migrate\nselect to_regnamespace($1) is not null, current_schema()::text")
            .bind(quoted(schema))
            .fetch_one(&mut *connection)
            .await?;
    if current.as_deref() != exists.then_some(schema) {
        // A schema that exists and is not the current one is another's, or the role has no right to it.
        let found = current.unwrap_or_default();
        let unfit = Unfit::Lost { name: "current_schema".to_owned(), found, wanted: schema.to_owned() };
        return Err(MigrateError::Execute(unfit.into()));
    }
    // `create schema if not exists` wants the right to create one even where it exists.
    if !exists {
        migrator.create_schema(quoted(schema));
    }
    migrator.run_direct(None, connection, false).await
}

/// Does work of the owner again while others hold a lock that it needs: a migration of another process, a long transaction.
/// What was applied stays, so that each try goes on where the one before gave up.
///
/// # Errors
/// The work's, or that the lock was not had within ten minutes.
pub async fn until_unlocked<T>(mut work: impl AsyncFnMut() -> Result<T, MigrateError>) -> Result<T, MigrateError> {
    let started = Instant::now();
    loop {
        match work().await {
            Err(error) if is_locked(&error) && started.elapsed() < PATIENCE => {
                tracing::warn!(error = explain(&error), "a lock is held by others; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

/// Whether a lock was not had in time, or was part of a deadlock.
fn is_locked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["55P03", "40P01"].contains(&code.as_ref()))
}

/// Compares the database's schema to ours.
///
/// # Errors
/// When the database cannot be asked.
pub async fn version(connection: &mut PgConnection) -> Result<Version, MigrateError> {
    let ours = sqlx::migrate!();
    let needs = ours.iter().map(|it| it.version).max().unwrap_or_default();
    let exists: bool = sqlx::query_scalar("-- migrations::version\nselect to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(Version::Older { has: 0, needs });
    }
    let applied = connection.list_applied_migrations("_sqlx_migrations").await?;
    let has = applied.iter().map(|it| it.version).max().unwrap_or_default();
    let missing = ours.iter().any(|one| !applied.iter().any(|it| it.version == one.version));
    Ok(if missing { Version::Older { has, needs } } else { Version::Usable })
}

/// Whether a newer version than ours has migrated the schema.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_newer(connection: &mut PgConnection) -> Result<bool, MigrateError> {
    let ours = sqlx::migrate!();
    let applied = connection.list_applied_migrations("_sqlx_migrations").await?;
    Ok(applied.iter().any(|it| !ours.version_exists(it.version)))
}
