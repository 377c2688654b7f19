//! Ends work that waits in the outbox: it is not tried again.
//!
//! A relay may hold the same row at that moment: the row's lock decides, and the later of the two finds that it changes nothing.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Once, Operator};
use crate::db::operator_actions::Action;
use crate::db::outbox::{self, Discarded};
use crate::db::{self, operator_actions};
use crate::domain::Topic;

/// # Errors
/// When there is no such work, it waits no longer, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, reason: String) -> Result<(), ActError> {
    let action = acts.record(&operator.name(), "discard_work", &id, reason);
    let work = async move |connection: &mut PgConnection| {
        let discarded = outbox::discard(connection, id, &action.who, &action.reason, action.at).await?;
        match &discarded {
            Discarded::Now(opening, topic) => {
                let action = Action { opening_id: *opening, detail: json!({"topic": topic}), ..action.clone() };
                operator_actions::insert(connection, &action).await?;
            }
            Discarded::Already => operator_actions::remember_form(connection, &action).await?,
            Discarded::WaitsNoLonger | Discarded::NotFound => {}
        }
        Ok::<_, sqlx::Error>(discarded)
    };
    if let Once::Now((opening, topic)) = once(db::in_one_commit(&acts.cell.pool, work).await?)? {
        let opening = opening.map(|it| it.to_string());
        tracing::info!(opening.id = opening, outbox.id = %id, topic, "an operator discarded pending work");
        // Later work on the same ticket may have waited for this.
        if let Ok(topic) = topic.parse::<Topic>() {
            acts.cell.wakers.relay(topic).notify_one();
        }
    }
    Ok(())
}

/// The opening, if any, and the topic of the work that would be ended.
///
/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: Uuid) -> Result<Once<(Option<Uuid>, String)>, ActError> {
    let work = async move |connection: &mut PgConnection| outbox::check(connection, id).await;
    once(db::with_retries(&acts.cell.pool, work).await?)
}

fn once(discarded: Discarded) -> Result<Once<(Option<Uuid>, String)>, ActError> {
    match discarded {
        Discarded::Now(opening, topic) => Ok(Once::Now((opening, topic))),
        Discarded::Already => Ok(Once::Already),
        Discarded::WaitsNoLonger => {
            Err(ActError::WrongState("the work no longer waits: it was done, or is a dead letter"))
        }
        Discarded::NotFound => Err(ActError::NotFound),
    }
}
