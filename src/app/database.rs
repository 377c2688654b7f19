//! The database that the service runs on: the one that was given, or a private cluster.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use sqlx::migrate::MigrateError;

use crate::config::{self, Environment, SettingError};
use crate::db::migrations::{self, Version};
use crate::db::{PoolOptions, Unfit, acquire, connect, connect_alone, connect_for_migrations, describe, roles};
use private_postgres::{Cluster, ClusterError, ClusterOptions};

/// How long a database that is away at the start is waited for.
const WAIT: Duration = Duration::from_secs(30);
/// How long a caller waits for a free connection: less than a webhook waits for its answer.
const ACQUIRE: Duration = Duration::from_secs(3);

/// An open database.
pub struct Database {
    /// Its pool.
    pub pool: PgPool,
    /// The private cluster, if it is one. Kept for as long as the pool is used.
    pub cluster: Option<Cluster>,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has to run `migrate` first.
    #[error(
        "DATABASE_URL: the schema has version {has}, but {needs} is needed; run `account-opening migrate` as its owner"
    )]
    OlderSchema {
        /// What it has.
        has: i64,
        /// What we need.
        needs: i64,
    },
    /// What a setting leads to is not what it takes: a role that could switch off what defends the history, a database in
    /// another encoding, a pooler that lends sessions.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The private cluster cannot be started.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        unfit("DATABASE_URL", &error).map_or_else(|| Self::Failed(anyhow!(describe(&error))), Self::Setting)
    }
}

/// What is wrong with what the setting of this name leads to, if the error says that.
#[must_use]
pub fn unfit(name: &'static str, error: &sqlx::Error) -> Option<SettingError> {
    let unfit = Unfit::of(error)?;
    Some(SettingError { name, problem: unfit.to_string(), expected: unfit.expected().to_owned() })
}

impl Database {
    /// Opens the database of these settings. A private cluster is started and migrated; one that was given must be
    /// current.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open(settings: &config::Database) -> Result<Self, OpenError> {
        let Some(url) = &settings.url else { return Self::private(settings).await };
        let url = url.expose_secret();
        let pool = pool(settings, url)?;
        check(url, &settings.schema).await?;
        Ok(Self { pool, cluster: None })
    }

    /// Looks at the role that a database which was given is used as. Production refuses one that owns the tables or may act
    /// as who does, elsewhere it is told. The private cluster has one role.
    ///
    /// # Errors
    /// When the role is refused, or the database is away.
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

    /// Migrates and opens a cluster of our own.
    ///
    /// # Errors
    /// When a migration fails.
    pub async fn on(cluster: Cluster, settings: &config::Database) -> Result<Self, OpenError> {
        let pool = pool(settings, cluster.url())?;
        let connecting = connect_for_migrations(cluster.url(), &settings.schema);
        let mut connection =
            connecting.await.map_err(|error| anyhow!(describe(&error)).context("the private cluster"))?;
        let migrating =
            migrations::until_unlocked(async || migrations::migrate(&mut connection, &settings.schema).await);
        migrating
            .await
            .map_err(|error| anyhow!(migrations::explain(&error)).context("migrating the private cluster"))?;
        drop(connection);
        Ok(Self { pool, cluster: Some(cluster) })
    }

    /// Closes the pool and stops the private cluster.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(cluster) = self.cluster
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(%error, "the private cluster did not stop cleanly; the next start recovers it");
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
    Ok(connect(&options).context("DATABASE_URL cannot be used")?)
}

/// Looks at the database and the way to it, and compares the schema: on a connection beside the pool, whose error says what
/// refuses it.
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

/// Asks until there is an answer: a database that is away is waited for, since it may be starting beside us. One that is unfit
/// stays so.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let started = Instant::now();
    loop {
        match ask().await {
            Err(OpenError::Failed(error)) if started.elapsed() < WAIT => {
                tracing::warn!(%error, "the database does not answer yet; trying again");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(OpenError::Failed(error)) => {
                return Err(error.context("DATABASE_URL: the database does not answer").into());
            }
            answer => return answer,
        }
    }
}
