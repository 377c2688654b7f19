//! The context of an opening for its page, in one statement: its customer, open cases, dead letters, waiting calls, history.

use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::history::Transition;
use crate::clock::Time;
use crate::domain::{Customer, Opening, ProviderRef};

/// The maximum number of rows of each kind.
const MOST: i64 = 100;

#[derive(Clone, Debug)]
pub struct Overview {
    /// None: erased.
    pub customer: Option<Json<Customer>>,
    /// Facts about it wait to be decided.
    pub is_unread: bool,
    pub cases: Json<Vec<OpenCase>>,
    pub letters: Json<Vec<DeadLetter>>,
    pub calls: Json<Vec<Call>>,
    /// The classes of its open mismatches with registers; those about charges and payments say nothing about its answer.
    pub mismatches: Json<Vec<String>>,
    /// The last row about it in a register.
    pub register_row: Option<Json<RegisterRow>>,
    pub steps: Json<Vec<Step>>,
    /// The hash of the last step, as the anchor holds it.
    pub head_hash: Vec<u8>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct OpenCase {
    pub id: Uuid,
    pub kind: String,
    pub created_at: Time,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeadLetter {
    pub id: Uuid,
    pub queue: String,
    pub kind: String,
    pub cause: Option<String>,
    /// Its content was erased.
    pub is_erased: bool,
}

/// A call that waits in the outbox.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    pub topic: String,
    pub claims: i32,
    pub due_at: Time,
    /// A worker claimed the call, and makes it until it is due again.
    pub is_leased: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RegisterRow {
    pub as_of: Time,
    /// The canonical row.
    pub row: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    pub version: i64,
    pub from_state: Option<String>,
    pub to_state: String,
    pub event: String,
    pub source: String,
    pub inbox_id: Option<Uuid>,
    pub at: Time,
    pub detail: Option<String>,
    /// Hexadecimal.
    pub hash: String,
}

impl Overview {
    /// The history, as the chain is verified.
    #[must_use]
    pub fn history(&self, opening: Uuid) -> Vec<Transition> {
        let transition = |step: &Step| Transition {
            opening_id: opening,
            version: step.version,
            from_state: step.from_state.clone(),
            to_state: step.to_state.clone(),
            event: step.event.clone(),
            source: step.source.clone(),
            inbox_id: step.inbox_id,
            at: step.at,
            detail: step.detail.clone(),
            // A value that is no hash verifies as no link.
            hash: hex::decode(&step.hash).unwrap_or_default(),
        };
        self.steps.iter().map(transition).collect()
    }
}

/// The context of an opening. Plan: its facts are found by its id, and by its tracking id. With `or`, or with `status = 'dead'`, the
/// planner may read all dead facts instead.
pub async fn of(connection: &mut PgConnection, opening: &Opening) -> sqlx::Result<Overview> {
    sqlx::query_as!(
        Overview,
        r#"-- overview::of
        select o.customer as "customer: Json<Customer>", o.head_hash,
               (exists (select from inbox where opening_id = $1 and status = 'pending')
                or exists (select from inbox where status = 'pending' and provider = $2 and provider_ref = $3)) as "is_unread!",
               (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'kind', kind, 'created_at', created_at) order by id), '[]')
                  from (select * from cases where opening_id = $1 and status = 'open' order by id limit $4) as cases)
                   as "cases!: Json<Vec<OpenCase>>",
               (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'queue', queue, 'kind', kind, 'cause', cause,
                                                             'is_erased', is_erased) order by id), '[]')
                  from ((select id, 'inbox' as queue, source as kind, outcome as cause, erased_at is not null as is_erased
                           from inbox where opening_id = $1 and status is not distinct from 'dead' limit $4)
                         union
                        (select id, 'inbox', source, outcome, erased_at is not null from inbox
                          where provider = $2 and provider_ref = $3 and status in ('pending', 'dead')
                            and status is not distinct from 'dead' limit $4)
                         union all
                        (select id, 'outbox', topic, outcome, false from outbox
                          where opening_id = $1 and status = 'dead' limit $4)) as letters) as "letters!: Json<Vec<DeadLetter>>",
               (select coalesce(jsonb_agg(jsonb_build_object('topic', topic, 'claims', claims, 'due_at', due_at,
                                                             'is_leased', lease_token is not null) order by id), '[]')
                  from (select * from outbox where opening_id = $1 and status = 'pending' order by id limit $4) as calls)
                   as "calls!: Json<Vec<Call>>",
               (select coalesce(jsonb_agg(class), '[]')
                  from (select class from mismatches
                     where opening_id = $1 and kind = 'register' and look_at is not null limit $4) as open)
                   as "mismatches!: Json<Vec<String>>",
               (select jsonb_build_object('as_of', coalesce(r.as_of, r.received_at), 'row', w.theirs)
                  from report_rows w join reports r on r.id = w.report_id
                 where w.opening_id = $1 and w.kind = 'register' and not w.redacted and not r.dry_run
                 order by w.report_id desc, w.n desc limit 1) as "register_row: Json<RegisterRow>",
               (select coalesce(jsonb_agg(jsonb_build_object('version', version, 'from_state', from_state, 'to_state', to_state,
                           'event', event, 'source', source, 'inbox_id', inbox_id, 'at', at, 'detail', detail,
                           'hash', encode(hash, 'hex')) order by version), '[]')
                  from opening_history where opening_id = $1) as "steps!: Json<Vec<Step>>"
          from account_openings o
         where o.id = $1"#,
        opening.id.0,
        opening.request.provider,
        opening.state.reference().map(ProviderRef::as_str),
        MOST,
    )
    .fetch_one(connection)
    .await
}

/// The calls of some openings.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// Those that wait, with their opening.
    pub waiting: Vec<(Uuid, Call)>,
    /// The topics of those that were given up, with their opening.
    pub given_up: Vec<(Uuid, String)>,
}

/// The calls of these openings that wait or were given up.
pub async fn calls(connection: &mut PgConnection, openings: &[Uuid]) -> sqlx::Result<Calls> {
    let rows = sqlx::query!(
        r#"-- overview::calls
        select opening_id as "opening_id!", topic, claims, due_at, lease_token is not null as "is_leased!"
          from outbox
         where opening_id = any($1) and status in ('pending', 'dead')
         order by opening_id, id"#,
        openings,
    )
    .fetch_all(connection)
    .await?;
    let mut calls = Calls::default();
    for it in rows {
        match it.due_at {
            Some(due_at) => {
                let call = Call { topic: it.topic, claims: it.claims, due_at, is_leased: it.is_leased };
                calls.waiting.push((it.opening_id, call));
            }
            None => calls.given_up.push((it.opening_id, it.topic)),
        }
    }
    Ok(calls)
}

/// The customers' names of these openings, as far as they are not erased, so that they can be masked in texts.
pub async fn names(connection: &mut PgConnection, openings: &[Uuid]) -> sqlx::Result<Vec<(Uuid, String)>> {
    let rows = sqlx::query!(
        r#"-- overview::names
        select id, customer ->> 'name' as "name!" from account_openings
         where id = any($1) and customer ->> 'name' is not null"#,
        openings,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.id, it.name)).collect())
}
