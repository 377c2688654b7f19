//! Ends work that waits in the outbox: it is not tried again.
//!
//! A relay may hold the same row at that moment: the row's lock decides, and the later of the two finds that it changes nothing.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator, about_opening};
use crate::db::outbox::{self, Discarded};
use crate::db::{self, operator_actions};
use crate::domain::Topic;

/// # Errors
/// When there is no such work, it waits no longer, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, reason: String) -> Result<(), ActError> {
    let action = acts.record(&operator.name(), "discard_work", &id, reason);
    let work = async move |connection: &mut PgConnection| {
        let discarded = outbox::discard(connection, id, &action.who, &action.reason, action.at).await?;
        if let Discarded::Now(opening, topic) = &discarded {
            let action = about_opening(action.clone(), *opening, json!({"topic": topic}));
            operator_actions::insert(connection, &action).await?;
        }
        Ok::<_, sqlx::Error>(discarded)
    };
    match db::in_one_commit(&acts.cell.pool, work).await? {
        Discarded::Now(opening, topic) => {
            tracing::info!(opening.id = %opening, outbox.id = %id, topic, "an operator discarded pending work");
            // Later work on the same ticket may have waited for this.
            if let Ok(topic) = topic.parse::<Topic>() {
                acts.cell.wakers.relay(topic).notify_one();
            }
        }
        Discarded::Already => {}
        Discarded::WaitsNoLonger => {
            return Err(ActError::WrongState("the work no longer waits: it was done, or is a dead letter"));
        }
        Discarded::NotFound => return Err(ActError::NotFound),
    }
    Ok(())
}
