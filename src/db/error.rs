//! Classifies database errors, to decide how the failed work goes on.

use super::openings::Unreadable;

/// The class of a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The same work may succeed if repeated at once: serialisation failure, deadlock, lock or statement time-out, or a
    /// concurrent insert of the same unique value.
    Contention,
    /// The database or the connection is down. It is unknown whether the last statement took effect.
    Unavailable,
    /// Our own bug, or data that the schema refuses: a repeat would fail again.
    Permanent,
}

/// Classifies an error by its `SQLSTATE` (PostgreSQL manual, appendix A).
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
        // Connection, resources (disk full, memory), operator intervention, system errors. Not XX (internal error): it
        // may concern a single bad row, which must not hold up other work.
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Fault::Unavailable,
        _ => Fault::Permanent,
    }
}

/// An error's text for logs. Errors about a value may quote it, so only their code or column is kept.
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

/// Whether errors of this class concern the connection, the server or a name in our statement. Their text tells an
/// operator what to fix: a wrong password, a missing right, a full disk. Excluded because they may quote a row: data
/// exceptions (22), constraints (23), and errors raised by our triggers (P0) or inside Postgres (XX).
fn speaks_of_no_value(code: &str) -> bool {
    ["08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
}
