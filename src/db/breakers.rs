//! `breakers`: operators' overrides of circuit breakers.

use sqlx::PgConnection;

use crate::clock::Time;

/// An operator's override of one breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub system: String,
    pub operation: String,
    /// `open` or `closed`
    pub forced: String,
    /// The name of the operator's token.
    pub who: String,
    pub reason: String,
    pub at: Time,
}

impl Row {
    #[must_use]
    pub fn is_of(&self, system: &str, operation: &str) -> bool {
        self.system == system && self.operation == operation
    }
}

pub async fn all(connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- breakers::all
        select system, operation, forced, who, reason, at from breakers"#
    )
    .fetch_all(connection)
    .await
}

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

/// Deletes the override: automatic control decides again.
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
