//! Applies migrations and compares the schema's version.
//!
//! A schema is usable if it has each migration of this program, with the same content; a newer version may have added others. Where
//! the content differs, an earlier build made the schema: it is refused, and nothing in it changes.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};

use super::describe;
use super::roles::quoted;
use super::session::Unfit;

/// How long to retry for a lock held by other sessions, and the pause between tries.
const PATIENCE: Duration = Duration::from_mins(10);
const PAUSE: Duration = Duration::from_secs(1);

/// The database's schema version compared with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The same version, or a newer compatible one.
    Usable,
    /// Migrations are missing; `migrate` must run first.
    Older {
        /// The version in the database. 0: empty.
        has: i64,
        /// The version that this program needs.
        needs: i64,
    },
}

/// A failure's text for logs, as in [`describe`].
#[must_use]
pub fn explain(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) => describe(error),
        MigrateError::ExecuteMigration(error, version) => format!("migration {version}: {}", describe(error)),
        error => error.to_string(),
    }
}

/// Applies missing migrations as the owner of the schema, on a session in that schema.
///
/// # Errors
/// If a migration fails, an earlier build made the schema, or the session is in another schema.
pub async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<(), MigrateError> {
    let mut migrator = sqlx::migrate!();
    // A newer replica may have applied migrations that this version does not have.
    migrator.set_ignore_missing(true);
    let (exists, current): (bool, Option<String>) =
        sqlx::query_as("-- migrations::migrate\nselect to_regnamespace($1) is not null, current_schema()::text")
            .bind(quoted(schema))
            .fetch_one(&mut *connection)
            .await?;
    if current.as_deref() != exists.then_some(schema) {
        // The schema exists but is not current: it belongs to another role, or this role has no right to it.
        let found = current.unwrap_or_default();
        let unfit = Unfit::Lost { name: "current_schema".to_owned(), found, wanted: schema.to_owned() };
        return Err(MigrateError::Execute(unfit.into()));
    }
    same_build(&migrator, &applied(connection).await?)?;
    // `create schema if not exists` requires the right to create schemas even if it exists.
    if !exists {
        migrator.create_schema(quoted(schema));
    }
    migrator.run_direct(None, connection, false).await
}

/// Repeats the owner's work while other sessions hold a lock it needs (another migration, a long transaction). Applied
/// migrations stay, so each try continues where the last one stopped.
///
/// # Errors
/// The work's error, or the lock's after ten minutes.
pub async fn until_unlocked<T>(mut work: impl AsyncFnMut() -> Result<T, MigrateError>) -> Result<T, MigrateError> {
    let started = Instant::now();
    loop {
        match work().await {
            Err(error) if is_locked(&error) && started.elapsed() < PATIENCE => {
                tracing::warn!(error = explain(&error), "another session holds a lock; retrying");
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

/// Whether the failure is a lock time-out or a deadlock.
fn is_locked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["55P03", "40P01"].contains(&code.as_ref()))
}

/// Compares the database's schema version with ours.
///
/// # Errors
/// If an earlier build made the schema, or the database does not answer.
pub async fn version(connection: &mut PgConnection) -> Result<Version, MigrateError> {
    let ours = sqlx::migrate!();
    let needs = ours.iter().map(|it| it.version).max().unwrap_or_default();
    let applied = applied(connection).await?;
    same_build(&ours, &applied)?;
    let missing = ours.iter().any(|one| !applied.iter().any(|it| it.version == one.version));
    Ok(if missing { Version::Older { has: newest(&applied), needs } } else { Version::Usable })
}

/// Whether a newer version of the service has migrated the schema.
pub async fn is_newer(connection: &mut PgConnection) -> Result<bool, MigrateError> {
    let ours = sqlx::migrate!();
    Ok(applied(connection).await?.iter().any(|it| !ours.version_exists(it.version)))
}

/// The migrations that the schema has; none before the first.
async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>, MigrateError> {
    let exists: bool = sqlx::query_scalar("-- migrations::applied\nselect to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if exists { connection.list_applied_migrations("_sqlx_migrations").await } else { Ok(Vec::new()) }
}

fn newest(applied: &[AppliedMigration]) -> i64 {
    applied.iter().map(|it| it.version).max().unwrap_or_default()
}

/// Refuses a schema in which one of our migrations has other content.
fn same_build(ours: &Migrator, applied: &[AppliedMigration]) -> Result<(), MigrateError> {
    let differs =
        |it: &&AppliedMigration| ours.iter().any(|one| one.version == it.version && one.checksum != it.checksum);
    let Some(first) = applied.iter().find(differs) else { return Ok(()) };
    Err(MigrateError::Execute(Unfit::EarlierBuild { has: newest(applied), differs: first.version }.into()))
}
