//! The database that the service runs on: the one that was given, or a private cluster.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::config::{self, Environment, SettingError};
use crate::db::migrations::{self, Version};
use crate::db::{PoolOptions, connect, connect_for_migrations, describe, roles};
use crate::embedded::{Cluster, ClusterError, ClusterOptions};

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
        "DATABASE_URL: the schema is at version {has} and {needs} is needed; run `account-opening migrate` as its owner"
    )]
    OlderSchema {
        /// What it has.
        has: i64,
        /// What we need.
        needs: i64,
    },
    /// Production does not run as a role that could switch off what defends the history.
    #[error(transparent)]
    Role(SettingError),
    /// The private cluster cannot be started.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl Database {
    /// Opens the database of these settings. A private cluster is started and migrated; one that was given must be
    /// current.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open(settings: &config::Database) -> Result<Self, OpenError> {
        let Some(url) = &settings.url else { return Self::private(settings).await };
        let pool = pool(settings, url.expose_secret())?;
        check(&pool).await?;
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
        let role = patiently(async || {
            let role = async { roles::of_session(&mut *self.pool.acquire().await?).await };
            role.await.map_err(|error: sqlx::Error| anyhow!(describe(&error)))
        });
        let role = role.await?;
        let Some(power) = role.power else { return Ok(()) };
        let held = format!("names the role {:?}, which {power}", role.name);
        if environment == Environment::Production {
            let takes = "a role that owns nothing (required in production): create one, and `account-opening migrate`, \
                         with the owner's MIGRATION_DATABASE_URL, grants it what it needs";
            return Err(OpenError::Role(SettingError { name: "DATABASE_URL", held, takes: takes.to_owned() }));
        }
        tracing::warn!("DATABASE_URL {held}: it could switch off what defends the history; production refuses it");
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
        let migrating = migrations::migrate(&mut connection, &settings.schema).await;
        migrating.map_err(|error| anyhow!(migrations::explain(&error)).context("migrating the private cluster"))?;
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

/// Compares the schema.
async fn check(pool: &PgPool) -> Result<(), OpenError> {
    let version = patiently(async || {
        let mut connection = pool.acquire().await.map_err(|error| anyhow!(describe(&error)))?;
        migrations::version(&mut connection).await.map_err(|error| anyhow!(migrations::explain(&error)))
    });
    match version.await? {
        Version::Usable => Ok(()),
        Version::Older { has, needs } => Err(OpenError::OlderSchema { has, needs }),
    }
}

/// Asks until there is an answer: a database that is away is waited for, since it may be starting beside us.
async fn patiently<T>(ask: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match ask().await {
            Err(error) if started.elapsed() < WAIT => {
                tracing::warn!(%error, "the database does not answer yet; trying again");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            answer => return answer.context("DATABASE_URL: the database does not answer"),
        }
    }
}
