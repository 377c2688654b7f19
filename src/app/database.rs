//! Opens the service's database: the configured one, or a private cluster.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use sqlx::migrate::MigrateError;

use crate::config::{self, Environment};
use crate::db::migrations::{self, Version};
use crate::db::{PoolOptions, Unfit, acquire, connect, connect_alone, connect_for_migrations, describe, roles};
use crate::settings::SettingError;
use private_postgres::{Cluster, ClusterError, ClusterOptions};

/// How long to wait at the start for an unavailable database.
const WAIT: Duration = Duration::from_secs(30);
/// How long a caller waits for a free connection: less than the time limit of a webhook's answer.
const ACQUIRE: Duration = Duration::from_secs(3);

pub struct Database {
    pub pool: PgPool,
    /// The private cluster, if used; must live as long as the pool.
    pub cluster: Option<Cluster>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An operator must run `migrate` first.
    #[error(
        "DATABASE_URL: the schema has version {has}, but {needs} is needed; run `account-opening migrate` as its owner"
    )]
    OlderSchema {
        /// The version in the database.
        has: i64,
        /// The version that this program needs.
        needs: i64,
    },
    /// An unfit database: a role that could disable the history's triggers, another encoding, a pooler that lends
    /// sessions.
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        unfit("DATABASE_URL", &error).map_or_else(|| Self::Failed(anyhow!(describe(&error))), Self::Setting)
    }
}

/// The configuration error for a connection error caused by an unfit database. None: any other error.
#[must_use]
pub fn unfit(name: &'static str, error: &sqlx::Error) -> Option<SettingError> {
    let unfit = Unfit::of(error)?;
    Some(SettingError { name, problem: unfit.to_string(), expected: unfit.expected().to_owned() })
}

impl Database {
    /// Opens the configured database (its schema must be current), or starts and migrates a private cluster.
    ///
    /// # Errors
    /// If the database cannot be used.
    pub async fn open(settings: &config::Database) -> Result<Self, OpenError> {
        let Some(url) = &settings.url else { return Self::private(settings).await };
        let url = url.expose_secret();
        let pool = pool(settings, url)?;
        check(url, &settings.schema).await?;
        Ok(Self { pool, cluster: None })
    }

    /// Checks the role of an external database. Production refuses the owner of the tables and members of the owner's
    /// role; other environments log a warning.
    ///
    /// # Errors
    /// If the role is refused.
    pub async fn check_role(&self, environment: Environment) -> Result<(), OpenError> {
        if self.cluster.is_some() {
            return Ok(());
        }
        let role = patiently(async || Ok(roles::of_session(&mut *acquire(&self.pool).await?).await?)).await?;
        let Some(power) = role.power else { return Ok(()) };
        let problem = format!("names the role {:?}, which {power}", role.name);
        if environment == Environment::Production {
            let expected = "a role that owns nothing (required in production): create it, then run \
                            `account-opening migrate` with the owner's MIGRATION_DATABASE_URL to grant its rights";
            return Err(OpenError::Setting(SettingError {
                name: "DATABASE_URL",
                problem,
                expected: expected.to_owned(),
            }));
        }
        tracing::warn!(
            "DATABASE_URL {problem}: it could disable the triggers that defend the history; production refuses it"
        );
        Ok(())
    }

    async fn private(settings: &config::Database) -> Result<Self, OpenError> {
        let options = ClusterOptions {
            data_dir: settings.data_dir.clone(),
            bin_dir: settings.pg_bin_dir.clone(),
            max_connections: u16::try_from(settings.pool + 20).unwrap_or(u16::MAX),
            settings: Vec::new(),
        };
        Self::on(Cluster::start(options).await?, settings).await
    }

    /// Migrates and opens a private cluster.
    ///
    /// # Errors
    /// If a migration fails.
    pub async fn on(cluster: Cluster, settings: &config::Database) -> Result<Self, OpenError> {
        let pool = pool(settings, cluster.url())?;
        let connecting = connect_for_migrations(cluster.url(), &settings.schema);
        let mut connection =
            connecting.await.map_err(|error| anyhow!(describe(&error)).context("connecting to the private cluster"))?;
        let migrating =
            migrations::until_unlocked(async || migrations::migrate(&mut connection, &settings.schema).await);
        migrating.await.map_err(|error| not_migrated(&error, &settings.data_dir))?;
        drop(connection);
        Ok(Self { pool, cluster: Some(cluster) })
    }

    pub async fn close(self) {
        self.pool.close().await;
        if let Some(cluster) = self.cluster
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(%error, "the private cluster did not stop cleanly; its next start recovers it");
        }
    }
}

fn pool(settings: &config::Database, url: &str) -> Result<PgPool, OpenError> {
    let options = PoolOptions {
        url: url.to_owned(),
        schema: settings.schema.clone(),
        max_connections: settings.pool,
        acquire_timeout: ACQUIRE,
    };
    Ok(connect(&options).context("DATABASE_URL: cannot create a connection pool")?)
}

/// Why a private cluster was not migrated.
fn not_migrated(error: &MigrateError, data_dir: &Path) -> anyhow::Error {
    if let MigrateError::Execute(error) = error
        && let Some(Unfit::EarlierBuild { has, differs }) = Unfit::of(error)
    {
        let folder = data_dir.display();
        return anyhow!(
            "the private cluster in {folder} was made by an earlier build: its schema has version {has}, and its \
             migration {differs} has other content than this program's; delete the folder {folder} (DATA_DIR) to \
             start with a new cluster, or choose another DATA_DIR"
        );
    }
    anyhow!(migrations::explain(error)).context("migrating the private cluster")
}

/// Connects outside the pool, so that the error names the cause, and checks the schema's version.
async fn check(url: &str, schema: &str) -> Result<(), OpenError> {
    let version = patiently(async || {
        let mut connection = connect_alone(url, schema).await?;
        migrations::version(&mut connection).await.map_err(|error| match error {
            MigrateError::Execute(error) => error.into(),
            error => OpenError::Failed(anyhow!(migrations::explain(&error))),
        })
    });
    match version.await? {
        Version::Usable => Ok(()),
        Version::Older { has, needs } => Err(OpenError::OlderSchema { has, needs }),
    }
}

/// Asks the database at the start: again while it is unavailable, for at most [`WAIT`], since it may start beside the service or restart
/// at this moment.
///
/// # Errors
/// If the database is unfit, or still unavailable when the time is over.
pub(super) async fn patiently<T>(ask: impl AsyncFn() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let started = Instant::now();
    loop {
        match ask().await {
            Err(OpenError::Failed(error)) if started.elapsed() < WAIT => {
                tracing::warn!(%error, "the database does not answer; retrying");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(OpenError::Failed(error)) => {
                return Err(error.context("DATABASE_URL: the database does not answer").into());
            }
            answer => return answer,
        }
    }
}
