//! Session settings: schema (cell), time-outs, planner settings. They are set on each new connection and read back in
//! one round trip.
//!
//! They are not connection startup parameters: poolers drop those (`PgBouncer` with `ignore_startup_parameters`), and a
//! service without its `search_path` would use another cell. They also override `alter role … set`.
//!
//! Invariant: no statement runs on a session that lacks one of them.

use std::time::Duration;

use sqlx::error::BoxDynError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use tokio::time::timeout;

use super::roles::quoted;
use super::{Fault, classify};

/// The time limit for opening and preparing a connection.
const WITHIN: Duration = Duration::from_secs(5);
/// How often two sessions are compared. A pooler that lends sessions per transaction is detected at the first round if
/// it is idle; under load it may return the same session by chance.
const ROUNDS: usize = 8;
/// How often [`Session::open`] prepares a session at most.
const TRIES: usize = 4;

const ENCODING: (&str, &str) = ("server_encoding", "UTF8");
/// The name under which the schema is read back.
const CELL: &str = "cell";

/// Settings of every session.
const ALWAYS: [(&str, &str); 3] =
    [("timezone", "UTC"), ("client_encoding", "UTF8"), ("default_transaction_isolation", "read committed")];

const OF_SERVICE: [(&str, &str); 7] = [
    // The limit is far above any statement's normal duration; a slow statement must not keep an anchor's lock.
    ("statement_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    // Cached plans are kept until a table is analyzed again. A plan made on a small table scans it, and keeps scanning
    // while a new cell fills: the first 2,560 openings took 3 ms more each. No query needs a sequential scan. Where it
    // is the only plan it is still used, and its inflated cost estimate must not trigger JIT compilation.
    ("enable_seqscan", "off"),
    ("jit", "off"),
    // Where a limit is a parameter the planner expects to read all rows, and starts workers: 20 ms for a page of 51.
    ("max_parallel_workers_per_gather", "0"),
    // Postgres would prefer a custom plan for statements with arrays, which are usually shorter than it assumes, and
    // replan each time to the same plan: a tenth of its work when webhooks arrive one by one.
    ("plan_cache_mode", "force_generic_plan"),
];

const OF_MIGRATIONS: [(&str, &str); 3] = [
    // Building an index on a large table takes longer than the role's everyday time-outs.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    // While a migration waits for a lock, every statement of the service queues behind it. It gives up before their
    // lock_timeout expires, lets them pass, and is retried.
    ("lock_timeout", "3s"),
];

/// Since PostgreSQL 17. Time-outs of statements and of idle transactions already bound a transaction.
const NO_TRANSACTION_TIMEOUT: &str = "select 'transaction_timeout', set_config('transaction_timeout', '0', false)
     where current_setting('transaction_timeout', true) is not null";

/// Why a database, or the path to it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The database's encoding is not UTF8, but names may contain any Unicode character.
    #[error("points to a database whose server_encoding is {0}")]
    Encoding(String),
    /// A setting was not kept.
    #[error("points to sessions that do not keep settings: {name} is {found:?} instead of {wanted:?}")]
    Lost {
        name: String,
        /// The value read back.
        found: String,
        /// The value that was set.
        wanted: String,
    },
    /// A pooler in transaction or statement mode.
    #[error("points to a pooler that lends a session for one transaction only")]
    Lent,
    /// The schema of an earlier build, which cannot be migrated: a migration was changed since.
    #[error(
        "points to a schema that an earlier build made: its version is {has}, and its migration {differs} has other \
         content than this program's"
    )]
    EarlierBuild {
        /// The version in the database.
        has: i64,
        /// The first migration with other content.
        differs: i64,
    },
}

impl Unfit {
    /// The database or pooler that the setting must point to instead.
    #[must_use]
    pub const fn expected(&self) -> &'static str {
        match self {
            Self::Encoding(_) => {
                "a database in UTF8: run `create database … encoding 'UTF8' template template0`, then dump and restore"
            }
            Self::Lost { .. } => "Postgres itself, or a pooler that forwards every statement",
            Self::Lent => {
                "Postgres itself, or a pooler in session mode (PgBouncer: pool_mode = session): settings, prepared \
                 statements and advisory locks last for a session"
            }
            Self::EarlierBuild { .. } => "an empty database, or a DATABASE_SCHEMA that does not exist yet",
        }
    }

    /// The reason for which a connection was refused, if it was one of these.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Option<&Self> {
        match error {
            sqlx::Error::Configuration(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

impl From<Unfit> for sqlx::Error {
    fn from(unfit: Unfit) -> Self {
        Self::Configuration(BoxDynError::from(unfit))
    }
}

/// The settings of a session.
#[derive(Clone, Debug)]
pub struct Session {
    sql: String,
    wanted: Vec<(&'static str, String)>,
}

impl Session {
    /// For the service, in this schema.
    #[must_use]
    pub fn of_service(schema: &str) -> Self {
        Self::new(schema, &OF_SERVICE)
    }

    /// For migrations of this schema.
    #[must_use]
    pub fn of_migrations(schema: &str) -> Self {
        Self::new(schema, &OF_MIGRATIONS)
    }

    fn new(schema: &str, settings: &[(&'static str, &str)]) -> Self {
        let settings: Vec<(&str, &str)> = ALWAYS.iter().chain(settings).copied().collect();
        let mut statements = vec![format!("-- session::prepare\nset search_path = {}", quoted(schema))];
        statements.extend(settings.iter().map(|(name, value)| format!("set {name} = '{value}'")));
        statements.push(NO_TRANSACTION_TIMEOUT.to_owned());
        // The schema does not exist yet.
        let cell = format!("select '{CELL}', coalesce(current_schema()::text, '{schema}')");
        let names = settings.iter().map(|(name, _)| *name).chain([ENCODING.0]);
        let in_force = names.map(|name| format!("select '{name}', current_setting('{name}')"));
        statements.push([cell].into_iter().chain(in_force).collect::<Vec<_>>().join(" union all\n"));
        let sql = statements.join(";\n");
        let mut wanted: Vec<(&'static str, String)> =
            vec![(CELL, schema.to_owned()), (ENCODING.0, ENCODING.1.to_owned())];
        wanted.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Self { sql, wanted }
    }

    /// Sets everything on a new connection and compares the values in force.
    ///
    /// # Errors
    /// [`Unfit`].
    pub async fn prepare(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(self.sql.clone()))).await?;
        let found = |name: &str| {
            let row = rows.iter().find(|row| row.try_get(0).is_ok_and(|it: &str| it == name));
            row.and_then(|row| row.try_get::<String, _>(1).ok()).unwrap_or_default()
        };
        for (name, wanted) in &self.wanted {
            let found = found(name);
            if found != *wanted {
                let unfit = if *name == ENCODING.0 {
                    Unfit::Encoding(found)
                } else {
                    Unfit::Lost { name: (*name).to_owned(), found, wanted: wanted.clone() }
                };
                return Err(unfit.into());
            }
        }
        Ok(())
    }

    /// Opens and prepares a connection outside the pool.
    ///
    /// # Errors
    /// [`Unfit`].
    pub async fn open(&self, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
        let opening = async {
            let mut connection = options.connect().await?;
            let mut tries = 1;
            // The first statement still runs under the time-outs of the role. On a busy machine a short one may end it.
            loop {
                match self.prepare(&mut connection).await {
                    Err(error) if tries < TRIES && classify(&error) == Fault::Contention => tries += 1,
                    prepared => return prepared.map(|()| connection),
                }
            }
        };
        timeout(WITHIN, opening).await.unwrap_or_else(|_| Err(late()))
    }

    /// The same, after checking that the connection has a session of its own. A pooler that lends sessions per
    /// transaction would spread settings and locks over all clients.
    ///
    /// # Errors
    /// [`Unfit`].
    pub async fn open_alone(&self, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
        let (mut connection, mut other) = (self.open(options).await?, self.open(options).await?);
        let looking = timeout(WITHIN, are_two(&mut connection, &mut other));
        if !looking.await.unwrap_or_else(|_| Err(late()))? {
            return Err(Unfit::Lent.into());
        }
        // The other connection was opened only for the comparison.
        let _ = timeout(WITHIN, other.close()).await;
        Ok(connection)
    }
}

fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time"))
}

/// Whether two connections have different sessions, in every round. While one is in a transaction, a pooler that lends
/// sessions must serve the other from another session.
async fn are_two(one: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<bool> {
    let (mut one, mut other) = ((backend(one).await?, one), (backend(other).await?, other));
    for _ in 0..ROUNDS {
        if one.0 == other.0 {
            return Ok(false);
        }
        one.1.execute("begin").await?;
        let (held, beside) = (backend(one.1).await?, backend(other.1).await?);
        one.1.execute("rollback").await?;
        if held != one.0 || beside != other.0 {
            return Ok(false);
        }
        std::mem::swap(&mut one, &mut other);
    }
    Ok(true)
}

/// The server process of a connection.
async fn backend(connection: &mut PgConnection) -> sqlx::Result<String> {
    let asked = sqlx::raw_sql("-- session::backend\nselect pg_backend_pid()::text");
    connection.fetch_one(asked).await?.try_get(0)
}
