//! The common part of redrive and discard: the letter changes and the act is recorded in one commit. A repeat changes nothing.
//!
//! A bulk run goes through [`once`] too, for each item of its list.

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Once, Operator};
use crate::db::dead_letters::{self, Act, Acted, Letter, Order};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};
use crate::domain::Topic;
use crate::driver::Wakers;

pub(super) async fn run(
    acts: &Acts,
    operator: &Operator,
    id: Uuid,
    act: Act,
    reason: String,
) -> Result<Letter, ActError> {
    let action = acts.record(&operator.name(), act.action(), &id, reason);
    let work = async move |connection: &mut PgConnection| once(connection, id, act, &action, None).await;
    let (letter, acted) = db::in_one_commit(&acts.cell.pool, work).await?;
    if acted == Acted::Done {
        tracing::info!(dead_letter.id = %id, act = act.as_str(), "an operator acted on a dead letter");
    }
    Ok(letter)
}

/// The letter afterwards, and whether the act was done now or before. `attempts`: a letter that has others by now is left alone.
pub(super) async fn once(
    connection: &mut PgConnection,
    id: Uuid,
    act: Act,
    action: &Action,
    attempts: Option<i32>,
) -> Result<(Letter, Acted), ActError> {
    let mut letter = read(connection, id).await?;
    let order = Order { act, who: &action.who, why: &action.reason, now: action.at, attempts };
    let mut acted = dead_letters::act(connection, id, order).await?;
    if matches!(acted, Acted::WrongState(_)) {
        // Another operator may have acted between the read and the update: the row as it is now decides.
        acted = dead_letters::act(connection, id, order).await?;
    }
    let acted = act_result(acted)?;
    if acted == Acted::Done {
        // A discard settles which opening the letter was about.
        letter.opening_id = read(connection, id).await?.opening_id;
        let action = Action { opening_id: letter.opening_id, detail: detail(&letter, action), ..action.clone() };
        operator_actions::insert(connection, &action).await?;
    } else {
        operator_actions::remember_form(connection, action).await?;
    }
    Ok((letter, acted))
}

/// The record's detail: the letter's queue, kind and cause, and the caller's own detail.
fn detail(letter: &Letter, action: &Action) -> Value {
    let mut detail = json!({"queue": letter.queue, "kind": letter.kind, "cause": letter.cause});
    if let (Some(all), Some(more)) = (detail.as_object_mut(), action.detail.as_object()) {
        all.extend(more.clone());
    }
    detail
}

/// Wakes the worker of a letter that is pending again.
pub(super) fn wake(wakers: &Wakers, letter: &Letter) {
    match letter.kind.parse::<Topic>() {
        Ok(topic) if letter.queue == "outbox" => wakers.relay(topic).notify_one(),
        _ => wakers.inbox.notify_one(),
    }
}

pub(super) async fn rehearse(acts: &Acts, id: Uuid, act: Act) -> Result<Once<Letter>, ActError> {
    let work = async move |connection: &mut PgConnection| {
        let letter = read(connection, id).await?;
        let acted = act_result(dead_letters::check(connection, id, act).await?)?;
        Ok(if acted == Acted::Already { Once::Already } else { Once::Now(letter) })
    };
    db::with_retries(&acts.cell.pool, work).await
}

const fn act_result(acted: Acted) -> Result<Acted, ActError> {
    match acted {
        Acted::Done | Acted::Already => Ok(acted),
        Acted::WrongState(why) => Err(ActError::WrongState(why)),
        Acted::NotFound => Err(ActError::NotFound),
    }
}

async fn read(connection: &mut PgConnection, id: Uuid) -> Result<Letter, ActError> {
    dead_letters::get(connection, id).await?.map(|whole| whole.letter).ok_or(ActError::NotFound)
}
