//! `POST /v1/outbox/{id}/discard`.
//!
//! The row and the record of the act change in one commit. A relay that holds the row meanwhile is the other side of the race: the
//! row's lock decides, and whichever comes second finds that it changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use sqlx::Connection as _;

use crate::db::operator_actions::{self, Action};
use crate::db::outbox::{self, Discarded};
use crate::domain::Topic;
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::auth::Operator;
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, Reason};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};

/// Ends work that waits: it is not tried again. A call that is under way is not called back; what it comes to is taken as ever.
/// An opening whose command is discarded gets a ticket at its deadline. Doing it twice is doing it once.
#[utoipa::path(
    post,
    path = "/v1/outbox/{id}/discard",
    operation_id = "discard_waiting_work",
    tag = "People",
    params(("id" = Uuid, Path, description = "Its id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It will not be tried again", body = Accepted),
        (status = 409, description = "`wrong-state`: it waits no longer"),
    ),
)]
pub async fn discard(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let (why, who, clock) = (reason::read(&body)?, Arc::clone(&operator.name), state.clock.clone());
    // The same in every try, so that one act is recorded once.
    let record = state.ids.next();
    let work = move |mut connection: Connection| {
        let (why, who, at) = (why.clone(), Arc::clone(&who), clock.now());
        async move {
            let mut transaction = connection.begin().await?;
            let discarded = outbox::discard(&mut transaction, id, &who, &why, at).await?;
            if let Discarded::Now(opening, topic) = &discarded {
                let action = Action {
                    id: record,
                    at,
                    who: who.to_string(),
                    action: "discard_work".to_owned(),
                    subject: id.to_string(),
                    opening_id: Some(*opening),
                    reason: why,
                    detail: json!({"topic": topic}),
                };
                operator_actions::insert(&mut transaction, &action).await?;
            }
            transaction.commit().await?;
            Ok(discarded)
        }
    };
    match database(&state.pool, work).await? {
        Discarded::Now(opening, topic) => {
            tracing::info!(opening.id = %opening, outbox.id = %id, topic, "an operator discarded work that waited");
            // What happened to the same ticket next may have waited for it.
            if let Ok(topic) = topic.parse::<Topic>() {
                state.wakers.relay(topic).notify_one();
            }
        }
        Discarded::Already => {}
        Discarded::WaitsNoLonger => {
            return Err(ApiError::because(Kind::WrongState, "it waits no longer: it was done, or is a dead letter"));
        }
        Discarded::NotFound => return Err(ApiError::new(Kind::NotFound)),
    }
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
