//! Search by id: finds the opening, case, dead letter or refused webhook that a text names.

use sqlx::PgConnection;
use uuid::Uuid;

/// The most hits of a kind.
const MOST: i64 = 20;

/// The texts that are looked for.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// As it was typed.
    pub text: String,
    /// The same as an id.
    pub id: Option<Uuid>,
    /// The same as an IBAN.
    pub iban: Option<String>,
    /// The names of the providers.
    pub providers: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Hit {
    /// `opening`, `case`, `dead_letter`, `webhook`, `refused_webhook`, `ticket`.
    pub kind: String,
    pub id: Uuid,
    /// The opening that it is about, if known.
    pub opening_id: Option<Uuid>,
}

/// Finds the things that a text names. Each part of the query reads an index.
pub async fn find(connection: &mut PgConnection, sought: &Sought) -> sqlx::Result<Vec<Hit>> {
    let groups: Vec<String> = sought.providers.iter().map(|it| format!("webhook:{it}")).collect();
    sqlx::query_as!(
        Hit,
        r#"-- search::find
        select kind as "kind!", id as "id!", opening_id
          from ((select 'opening' as kind, id, id as opening_id from account_openings where id = $2)
                 union
                (select 'opening', opening_id, opening_id from opening_ibans where iban = $3)
                 union
                (select 'opening', id, id from account_openings where provider = any($4) and provider_ref = $1 limit $6)
                 union
                (select 'opening', id, id from account_openings where customer_reference = $1 order by id desc limit $6)
                 union
                (select 'ticket', id, opening_id from tickets where tracker_key = $1 or id = $2 limit $6)
                 union
                (select 'case', id, opening_id from cases where id = $2)
                 union
                (select case when status = 'dead' then 'dead_letter' else 'webhook' end, id, opening_id from inbox
                  where id = $2 or (consumer_group = any($5) and event_id = $1) limit $6)
                 union
                (select 'dead_letter', id, opening_id from outbox where id = $2 and status is not distinct from 'dead')
                 union
                (select 'refused_webhook', id, null from rejected_requests where id = $2)) as hits
         order by kind, id desc"#,
        sought.text,
        sought.id,
        sought.iban,
        &sought.providers,
        &groups,
        MOST,
    )
    .fetch_all(connection)
    .await
}
