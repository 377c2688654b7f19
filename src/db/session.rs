//! What a session must have: its cell, its time-outs, its way of planning. Set on each new connection and read back, in one
//! round trip.
//!
//! Parameters of the start of a connection are no place for it: poolers drop them (`PgBouncer` with
//! `ignore_startup_parameters`), and a service without its `search_path` reads and writes another cell. What a role or a
//! database brings along by `alter role … set` is overruled for the same reason.
//!
//! Invariant: no statement runs on a session that lacks any of it. A crash leaves nothing behind.

use std::time::Duration;

use sqlx::error::BoxDynError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use tokio::time::timeout;

use super::roles::quoted;

/// How long a connection may take to be opened and prepared.
const WITHIN: Duration = Duration::from_secs(5);
/// How often two sessions are looked at in turn. A pooler that lends sessions betrays itself at the first look where it is
/// quiet; under other load it may hand out the same session by chance.
const ROUNDS: usize = 8;

const ENCODING: (&str, &str) = ("server_encoding", "UTF8");
/// The name under which the cell is read back.
const CELL: &str = "cell";

/// What every session has.
const ALWAYS: [(&str, &str); 3] =
    [("timezone", "UTC"), ("client_encoding", "UTF8"), ("default_transaction_isolation", "read committed")];

const OF_SERVICE: [(&str, &str); 6] = [
    // No statement of ours takes longer when all is well; one that does must not hold an anchor's lock.
    ("statement_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    // A plan is kept for as long as nobody analyzes its tables anew. One that was made while a table was small reads all
    // of it, and goes on so while a new cell fills: the first 2,560 openings took 3 ms more each. Nothing here means to
    // read a whole table; what cannot but do it still does, at a price that must not look like work for a compiler.
    ("enable_seqscan", "off"),
    ("jit", "off"),
    // A plan for the very values is cheaper by its estimate wherever a statement takes arrays, since these are mostly
    // shorter than it assumes, so that Postgres would plan it anew each time and come to the same plan: a tenth of its
    // work where webhooks come one by one.
    ("plan_cache_mode", "force_generic_plan"),
];

const OF_MIGRATIONS: [(&str, &str); 3] = [
    // An index on a large table takes its time, whatever time-outs the owner's role has for everyday work.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    // A migration that waits for a lock makes every statement of the service wait behind it. So it gives up before their
    // own lock_timeout strikes, lets them pass, and is tried again.
    ("lock_timeout", "3s"),
];

/// Since PostgreSQL 17. The time-outs of statements and of idle transactions bound all that a transaction consists of.
const NO_TRANSACTION_TIMEOUT: &str = "select 'transaction_timeout', set_config('transaction_timeout', '0', false)
     where current_setting('transaction_timeout', true) is not null";

/// What makes a database, or the way to it, unfit for us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Names come from all of Unicode.
    #[error("leads to a database whose server_encoding is {0}")]
    Encoding(String),
    /// A setting did not stay as it was set.
    #[error("leads to sessions that do not keep what is set: {name} is {found:?} and not {wanted:?}")]
    Lost {
        /// Which.
        name: String,
        /// What it is.
        found: String,
        /// What it was set to.
        wanted: String,
    },
    /// A pooler in transaction mode, or in statement mode.
    #[error("leads through a pooler that lends a session for one transaction only")]
    Lent,
}

impl Unfit {
    /// What the setting that leads there takes.
    #[must_use]
    pub const fn takes(&self) -> &'static str {
        match self {
            Self::Encoding(_) => {
                "a database in UTF8: `create database … encoding 'UTF8' template template0`, then dump and restore"
            }
            Self::Lost { .. } => "Postgres itself, or a pooler that passes every statement on",
            Self::Lent => {
                "Postgres itself, or a pooler in session mode (PgBouncer: pool_mode = session): settings, prepared \
                 statements and advisory locks last for a session"
            }
        }
    }

    /// The one that a connection was refused for.
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

/// What a session is to have.
#[derive(Clone, Debug)]
pub struct Session {
    sql: String,
    wanted: Vec<(&'static str, String)>,
}

impl Session {
    /// One of the service, in this cell.
    #[must_use]
    pub fn of_service(schema: &str) -> Self {
        Self::new(schema, &OF_SERVICE)
    }

    /// One that migrates this cell.
    #[must_use]
    pub fn of_migrations(schema: &str) -> Self {
        Self::new(schema, &OF_MIGRATIONS)
    }

    fn new(schema: &str, settings: &[(&'static str, &str)]) -> Self {
        let settings: Vec<(&str, &str)> = ALWAYS.iter().chain(settings).copied().collect();
        let mut statements = vec![format!("-- session::prepare\nset search_path = {}", quoted(schema))];
        statements.extend(settings.iter().map(|(name, value)| format!("set {name} = '{value}'")));
        statements.push(NO_TRANSACTION_TIMEOUT.to_owned());
        // No current schema: the cell is still to be made.
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

    /// Sets all of it on a new connection, and compares what is in force then.
    ///
    /// # Errors
    /// [`Unfit`], or when the database is away.
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

    /// A connection beside the pool, prepared.
    ///
    /// # Errors
    /// [`Unfit`], or when the database is away.
    pub async fn open(&self, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
        let opening = async {
            let mut connection = options.connect().await?;
            self.prepare(&mut connection).await?;
            Ok(connection)
        };
        timeout(WITHIN, opening).await.unwrap_or_else(|_| Err(late()))
    }

    /// The same, once it is certain that it is a session of its own. A pooler that lends its sessions for one transaction
    /// would spread settings and locks over all of them.
    ///
    /// # Errors
    /// [`Unfit`], or when the database is away.
    pub async fn open_alone(&self, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
        let (mut connection, mut other) = (self.open(options).await?, self.open(options).await?);
        let looking = timeout(WITHIN, are_two(&mut connection, &mut other));
        if !looking.await.unwrap_or_else(|_| Err(late()))? {
            return Err(Unfit::Lent.into());
        }
        // It was only there to be compared.
        let _ = timeout(WITHIN, other.close()).await;
        Ok(connection)
    }
}

fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time"))
}

/// Whether two connections are a session each, and the same at every look. While one is in a transaction, a pooler that
/// lends sessions has to answer the other from another session than that one.
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

/// The server's process behind a connection.
async fn backend(connection: &mut PgConnection) -> sqlx::Result<String> {
    let asked = sqlx::raw_sql("-- session::backend\nselect pg_backend_pid()::text");
    connection.fetch_one(asked).await?.try_get(0)
}
