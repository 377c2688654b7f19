//! `breakers`: what operators have made circuit breakers do.

use sqlx::PgConnection;

use crate::clock::Time;

/// A breaker that an operator has decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub system: String,
    pub operation: String,
    /// `open` or `closed`
    pub forced: String,
    /// The name of the token.
    pub who: String,
    pub reason: String,
    pub at: Time,
}

impl Row {
    /// Whether it is the breaker of this operation.
    #[must_use]
    pub fn is_of(&self, system: &str, operation: &str) -> bool {
        self.system == system && self.operation == operation
    }
}

/// All of them.
///
/// # Errors
/// When the database is away.
pub async fn all(connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- breakers::all
        select system, operation, forced, who, reason, at from breakers"#
    )
    .fetch_all(connection)
    .await
}

/// An operator decides.
///
/// # Errors
/// When the database is away.
pub async fn set(connection: &mut PgConnection, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- breakers::set
        insert into breakers (system, operation, forced, who, reason, at) values ($1, $2, $3, $4, $5, $6)
        on conflict (system, operation) do update
           set forced = excluded.forced, who = excluded.who, reason = excluded.reason, at = excluded.at"#,
        row.system,
        row.operation,
        row.forced,
        row.who,
        row.reason,
        row.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The calls decide again.
///
/// # Errors
/// When the database is away.
pub async fn release(connection: &mut PgConnection, system: &str, operation: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- breakers::release
        delete from breakers where system = $1 and operation = $2"#,
        system,
        operation,
    )
    .execute(connection)
    .await?;
    Ok(())
}
