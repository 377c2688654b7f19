//! The context of a mismatch for its page, in one statement: its steps, its case, and its opening's customer.

use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::clock::Time;

#[derive(Clone, Debug)]
pub struct Beside {
    pub steps: Json<Vec<Step>>,
    pub case: Option<Json<Case>>,
    /// The name of its opening's customer. None: there is no opening, or it was erased.
    pub customer: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    pub at: Time,
    pub from_state: Option<String>,
    pub to_state: String,
    pub class: String,
    pub by: String,
    pub reason: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    pub id: Uuid,
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
    pub resolved_by: Option<String>,
    pub created_at: Time,
}

pub async fn beside(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Beside> {
    sqlx::query_as!(
        Beside,
        r#"-- mismatches::beside
        select (select coalesce(jsonb_agg(to_jsonb(s) order by s.n), '[]') from mismatch_steps s where s.mismatch_id = m.id)
                   as "steps!: Json<Vec<Step>>",
               (select jsonb_build_object('id', c.id, 'kind', c.kind, 'status', c.status, 'reason', c.reason,
                                          'resolved_by', c.resolved_by, 'created_at', c.created_at)
                  from cases c where c.id = m.case_id) as "case: Json<Case>",
               (select o.customer ->> 'name' from account_openings o where o.id = m.opening_id) as customer
          from mismatches m where m.id = $1"#,
        id,
    )
    .fetch_one(connection)
    .await
}
