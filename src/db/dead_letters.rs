//! Dead letters: rows of inbox and outbox that need an operator.
//!
//! Redrive makes a row pending again; discard ends it. Both are idempotent and are recorded in the row's attempts with
//! operator and reason. A discarded fact is linked to its opening like any settled fact, so that an erasure finds it;
//! if the opening was erased before, the fact is emptied.

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Page, inbox, outbox};
use crate::clock::Time;
use crate::domain::Topic;

#[derive(Clone, Debug)]
pub struct Letter {
    pub id: Uuid,
    pub queue: String,
    pub kind: String,
    pub cause: Option<String>,
    /// Entries in its attempts, redrives included.
    pub attempts: i32,
    pub opening_id: Option<Uuid>,
    pub at: Time,
}

#[derive(Clone, Debug)]
pub struct Whole {
    pub letter: Letter,
    /// `pending`, `applied`, …: no longer `dead` after an operator acted.
    pub status: String,
    /// The received body, or the payload to send.
    pub payload: Vec<u8>,
    /// The received headers; inbox rows only.
    pub headers: Option<Value>,
    /// `[{"at", "class", "cause"}]`
    pub attempt_log: Value,
    /// The time at which the content was erased; inbox rows only.
    pub erased_at: Option<Time>,
}

/// An operator's act on a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Try again from the beginning.
    Redrive,
    /// Give up.
    Discard,
}

/// An act as a person, or a bulk run, asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    pub act: Act,
    pub who: &'a str,
    pub why: &'a str,
    pub now: Time,
    /// The entries in its attempts that were seen: a letter that was tried since is another than was shown. None: any.
    pub attempts: Option<i32>,
}

/// The result of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    Done,
    /// The same act was done earlier.
    Already,
    /// No dead letter has or had this id.
    NotFound,
    /// Not possible: it is being processed again, or its opening no longer needs it.
    WrongState(&'static str),
}

/// Why a bulk run leaves a letter of its list alone.
pub(super) const CHANGED: &str = "it has changed since the list was frozen";
/// Why an erased letter cannot be redriven.
pub(super) const ERASED: &str = "its content was erased with the personal data of its opening";
/// Why a command that its opening no longer needs cannot be redriven.
pub(super) const OBSOLETE: &str = "its opening has moved on: the command is obsolete";

impl Act {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    /// Its name in `operator_actions`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Redrive => "redrive_dead_letter",
            Self::Discard => "discard_dead_letter",
        }
    }
}

/// Which dead letters are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub queue: Option<String>,
    pub cause: Option<String>,
}

/// A page of dead letters, by descending id: facts newest first, work by the start of its opening.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Letter>> {
    sqlx::query_as!(
        Letter,
        r#"-- dead_letters::list
        select id as "id!", queue as "queue!", kind as "kind!", cause, attempts as "attempts!", opening_id, at as "at!"
          from ((select id, 'inbox' as queue, source as kind, outcome as cause,
                        jsonb_array_length(attempt_log) as attempts, opening_id, received_at as at
                   from inbox
                  where status = 'dead' and coalesce($1::text, 'inbox') = 'inbox'
                    and ($4::text is null or coalesce(outcome, 'unknown') = $4) and id < $2
                  order by id desc limit $3)
                 union all
                (select id, 'outbox', topic, outcome, jsonb_array_length(attempt_log), opening_id, created_at
                   from outbox
                  where status = 'dead' and coalesce($1::text, 'outbox') = 'outbox'
                    and ($4::text is null or coalesce(outcome, 'unknown') = $4) and id < $2
                  order by id desc limit $3)) as letters
         order by id desc
         limit $3"#,
        filter.queue,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
        filter.cause,
    )
    .fetch_all(connection)
    .await
}

/// The dead letters of a cause.
#[derive(Clone, Debug)]
pub struct Group {
    pub queue: String,
    pub cause: String,
    pub count: i64,
    pub oldest: Time,
}

/// Dead letters by queue and cause, the most first. The `most` oldest of each queue are counted, and one more.
pub async fn groups(connection: &mut PgConnection, most: i64) -> sqlx::Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        r#"-- dead_letters::groups
        select queue as "queue!", coalesce(cause, 'unknown') as "cause!", count(*) as "count!", min(at) as "oldest!"
          from ((select 'inbox' as queue, outcome as cause, received_at as at
                   from inbox where status = 'dead' order by id limit $1::bigint + 1)
                 union all
                (select 'outbox', outcome, created_at from outbox where status = 'dead' order by id limit $1::bigint + 1)) as letters
         group by 1, 2
         order by 3 desc, 1, 2"#,
        most,
    )
    .fetch_all(connection)
    .await
}

/// A current or former dead letter, archived or not.
pub async fn get(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Whole>> {
    let row = sqlx::query!(
        r#"-- dead_letters::get
        select id as "id!", 'inbox' as "queue!", source as "kind!", status as "status!", outcome as cause,
               jsonb_array_length(attempt_log) as "attempts!", opening_id, received_at as "at!", body as "payload!",
               headers as "headers?", attempt_log as "attempt_log!", erased_at as "erased_at?"
          from inbox
         where id = $1 and archived_at is null
           and (status = 'dead' or attempt_log @> '[{"class": "redrive"}]' or attempt_log @> '[{"class": "discard"}]')
         union all
        select id, 'inbox', source, status, outcome, jsonb_array_length(attempt_log), opening_id, received_at, body, headers,
               attempt_log, erased_at
          from inbox_archive
         where id = $1 and (attempt_log @> '[{"class": "redrive"}]' or attempt_log @> '[{"class": "discard"}]')
         union all
        select id, 'outbox', topic, status, outcome, jsonb_array_length(attempt_log), opening_id, created_at,
               convert_to(payload::text, 'UTF8'), null, attempt_log, null
          from outbox
         where id = $1 and (status = 'dead' or attempt_log @> '[{"class": "redrive"}]'
                            or attempt_log @> '[{"class": "discard"}]')
         union all
        select id, 'outbox', topic, status, outcome, jsonb_array_length(attempt_log), opening_id, created_at,
               convert_to(payload::text, 'UTF8'), null, attempt_log, null
          from outbox_archive
         where id = $1 and (attempt_log @> '[{"class": "redrive"}]' or attempt_log @> '[{"class": "discard"}]')"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Whole {
        letter: Letter {
            id: row.id,
            queue: row.queue,
            kind: row.kind,
            cause: row.cause,
            attempts: row.attempts,
            opening_id: row.opening_id,
            at: row.at,
        },
        status: row.status,
        payload: row.payload,
        headers: row.headers,
        attempt_log: row.attempt_log,
        erased_at: row.erased_at,
    }))
}

/// Redrives or discards a dead letter. Call it in a transaction.
pub async fn act(connection: &mut PgConnection, id: Uuid, order: Order<'_>) -> sqlx::Result<Acted> {
    let letter = match look(connection, id, order.act).await? {
        Ok(letter) if order.attempts.is_some_and(|it| it != letter.attempts) => return Ok(Acted::WrongState(CHANGED)),
        Ok(letter) => letter,
        Err(acted) => return Ok(acted),
    };
    let changed = match letter.queue.as_str() {
        "inbox" => act_on_inbox(connection, &letter, order).await?,
        _ => act_on_outbox(connection, &letter, order).await?,
    };
    Ok(if changed { Acted::Done } else { Acted::WrongState("another operator has just acted on it") })
}

fn entry(order: Order<'_>) -> Value {
    json!([{"at": order.now, "class": order.act.as_str(), "by": order.who, "cause": order.why}])
}

/// Rehearses [`act`]; nothing is written.
///
/// # Errors
/// When the database is away.
pub async fn check(connection: &mut PgConnection, id: Uuid, act: Act) -> sqlx::Result<Acted> {
    Ok(look(connection, id, act).await?.map_or_else(|acted| acted, |_| Acted::Done))
}

/// The letter that may be acted on, or what an act on it comes to.
async fn look(connection: &mut PgConnection, id: Uuid, act: Act) -> sqlx::Result<Result<Letter, Acted>> {
    let Some(whole) = get(connection, id).await? else { return Ok(Err(Acted::NotFound)) };
    if whole.status != "dead" {
        let last = whole.attempt_log.as_array().and_then(|log| {
            log.iter().rev().filter_map(|entry| entry["class"].as_str()).find(|it| ["redrive", "discard"].contains(it))
        });
        // The same act again, however far the letter has come since: it was done.
        let again = last == Some(act.as_str());
        return Ok(Err(if again { Acted::Already } else { Acted::WrongState("it is no longer a dead letter") }));
    }
    if act == Act::Redrive && whole.erased_at.is_some() {
        return Ok(Err(Acted::WrongState(ERASED)));
    }
    if act == Act::Redrive && whole.letter.queue == "outbox" {
        let topic: Option<Topic> = whole.letter.kind.parse().ok();
        let opening = whole.letter.opening_id.unwrap_or_default();
        if let Some(topic) = topic
            && !outbox::is_of_use(connection, opening, topic).await?
        {
            return Ok(Err(Acted::WrongState(OBSOLETE)));
        }
    }
    Ok(Ok(whole.letter))
}

async fn act_on_inbox(connection: &mut PgConnection, letter: &Letter, order: Order<'_>) -> sqlx::Result<bool> {
    let (id, Order { act, now, .. }) = (letter.id, order);
    let (status, outcome) = match act {
        Act::Redrive => ("pending", None),
        Act::Discard => ("ignored", Some("discarded")),
    };
    let about = if act == Act::Discard { about(connection, id).await? } else { None };
    let done = sqlx::query!(
        r#"-- dead_letters::act_on_inbox
        update inbox
           set status = $2, outcome = $3, attempts = 0, due_at = case when $2 = 'pending' then $4::timestamptz end,
               attempt_log = attempt_log || $5,
               retry_from = $4, settled_at = case when $2 = 'ignored' then $4::timestamptz end,
               opening_id = coalesce($6, opening_id)
         where id = $1 and status = 'dead' and (erased_at is null or $2 = 'ignored')
           and jsonb_array_length(attempt_log) = $7"#,
        id,
        status,
        outcome,
        now,
        entry(order),
        about.as_ref().map(|it| it.opening),
        letter.attempts,
    )
    .execute(&mut *connection)
    .await?;
    let changed = done.rows_affected() == 1;
    if changed && about.is_some_and(|it| it.erased) {
        inbox::empty(connection, &[id], now).await?;
    }
    Ok(changed)
}

/// The opening of a letter.
struct About {
    opening: Uuid,
    erased: bool,
}

/// Finds and locks the opening, by tracking id, else by our id. The letter is settled for good, so an erasure must find
/// it: with the anchor locked, a concurrent erasure has either seen the letter or is visible here.
async fn about(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<About>> {
    sqlx::query_as!(
        About,
        r#"-- dead_letters::about
        select o.id as opening, o.erased_at is not null as "erased!"
          from account_openings o
         where o.id = (select coalesce((select r.id from account_openings r
                                         where r.provider = i.provider and r.provider_ref = i.provider_ref), i.opening_id)
                         from inbox i where i.id = $1)
           for no key update of o"#,
        id,
    )
    .fetch_optional(connection)
    .await
}

/// A redriven command gets a full `RETRY_FOR` again and keeps its idempotency key.
async fn act_on_outbox(connection: &mut PgConnection, letter: &Letter, order: Order<'_>) -> sqlx::Result<bool> {
    let (status, outcome) = match order.act {
        Act::Redrive => ("pending", None),
        Act::Discard => ("cancelled", Some("discarded")),
    };
    let done = sqlx::query!(
        r#"-- dead_letters::act_on_outbox
        update outbox
           set status = $2, outcome = $3, attempts = 0, due_at = case when $2 = 'pending' then $4::timestamptz end,
               attempt_log = attempt_log || $5,
               retry_from = $4
         where id = $1 and status = 'dead' and jsonb_array_length(attempt_log) = $6"#,
        letter.id,
        status,
        outcome,
        order.now,
        entry(order),
        letter.attempts,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
