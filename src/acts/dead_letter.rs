//! What redrive and discard share: the letter changes and the act is recorded in one commit. A repeat changes nothing.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Once, Operator};
use crate::db::dead_letters::{self, Act, Acted, Letter};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};

pub(super) async fn run(
    acts: &Acts,
    operator: &Operator,
    id: Uuid,
    act: Act,
    reason: String,
) -> Result<Letter, ActError> {
    let action = acts.record(&operator.name(), &format!("{}_dead_letter", act.as_str()), &id, reason);
    let work = async move |connection: &mut PgConnection| once(connection, id, act, &action).await;
    let (letter, acted) = db::in_one_commit(&acts.cell.pool, work).await?;
    if acted == Acted::Done {
        tracing::info!(dead_letter.id = %id, act = act.as_str(), "an operator acted on a dead letter");
    }
    Ok(letter)
}

/// The letter afterwards, and whether the act was done now or before.
async fn once(connection: &mut PgConnection, id: Uuid, act: Act, action: &Action) -> Result<(Letter, Acted), ActError> {
    let mut letter = read(connection, id).await?;
    let Action { who, reason, at, .. } = action;
    let mut acted = dead_letters::act(connection, id, act, who, reason, *at).await?;
    if matches!(acted, Acted::WrongState(_)) {
        // Another operator may have acted between the read and the update: the row as it is now decides.
        acted = dead_letters::act(connection, id, act, who, reason, *at).await?;
    }
    let acted = act_result(acted)?;
    if acted == Acted::Done {
        // A discard settles which opening the letter was about.
        letter.opening_id = read(connection, id).await?.opening_id;
        let detail = json!({"queue": letter.queue, "kind": letter.kind, "cause": letter.cause});
        let action = Action { opening_id: letter.opening_id, detail, ..action.clone() };
        operator_actions::insert(connection, &action).await?;
    }
    Ok((letter, acted))
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
