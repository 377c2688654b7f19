//! The schema and its version.

use sqlx::PgConnection;
use sqlx::migrate::{Migrate, MigrateError};

use super::describe;

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

/// Applies what is missing, as the owner of the schema.
///
/// # Errors
/// When a migration fails, or one that was applied has been changed since.
pub async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<(), MigrateError> {
    let mut migrator = sqlx::migrate!();
    // A newer neighbour may have applied more than we know.
    migrator.set_ignore_missing(true);
    let exists: bool = sqlx::query_scalar("-- migrations::migrate\nselect to_regnamespace($1) is not null")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    // `create schema if not exists` wants the right to create one even where it exists.
    if !exists {
        migrator.create_schema(schema.to_owned());
    }
    migrator.run_direct(None, connection, false).await
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
