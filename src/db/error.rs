//! What a database error means for the work that met it.

use super::openings::Unreadable;

/// What comes next after a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The same work would succeed on another try, at once: serialisation, deadlock, lock or statement time-out, a
    /// concurrent writer of the same unique value.
    Contention,
    /// The database is away, or the connection to it: whether the last statement took effect is unknown.
    Unavailable,
    /// Our own mistake, or data that the schema refuses: it would fail again.
    Permanent,
}

/// Sorts an error by its `SQLSTATE` (PostgreSQL manual, appendix A).
#[must_use]
pub fn classify(error: &sqlx::Error) -> Fault {
    let code = match error {
        sqlx::Error::Database(db) => db.code().unwrap_or_default().into_owned(),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => return Fault::Unavailable,
        _ => return Fault::Permanent,
    };
    match code.as_str() {
        // serialization_failure, deadlock_detected, lock_not_available, query_canceled, unique_violation
        "40001" | "40P01" | "55P03" | "57014" | "23505" => Fault::Contention,
        // read_only_sql_transaction (a standby, or a disk that an operator froze), idle-in-transaction time-out
        "25006" | "25P03" => Fault::Unavailable,
        // connection, resources (disk full, memory), operator intervention, system errors. Not XX, an internal error: it may
        // be one bad row, and work that meets it must not hold up the rest.
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Fault::Unavailable,
        _ => Fault::Permanent,
    }
}

/// What may stand in a log about an error: what the database or a decoder says about a value may quote it, so of that only
/// the code or the column is kept.
#[must_use]
pub fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            if speaks_of_no_value(&code) {
                format!("database error {code}: {}", error.message())
            } else {
                format!("database error {code}")
            }
        }
        sqlx::Error::ColumnDecode { index, .. } => format!("database error: column {index} cannot be read"),
        sqlx::Error::Decode(error) => match error.downcast_ref::<Unreadable>() {
            Some(unreadable) => unreadable.to_string(),
            None => "database error: a row cannot be read".to_owned(),
        },
        sqlx::Error::PoolTimedOut => "no connection to the database became free in time".to_owned(),
        sqlx::Error::Encode(_) => "database error: a parameter cannot be written".to_owned(),
        error => format!("database error: {error}"),
    }
}

/// Whether errors of this class are about the connection, the server or a name in a statement, whose text is ours. Their
/// words tell an operator what to do: a wrong password, a missing right, a full disk. Of the classes that are left out, data
/// exceptions (22), constraints (23), and what our triggers and Postgres itself raise (P0, XX) may quote a row.
fn speaks_of_no_value(code: &str) -> bool {
    ["08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
}
