//! `POST /v1/dead-letters/{id}/redrive` and `/discard`: a person decides, and says why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::dead_letters::{self, Act, Acted, Letter};
use crate::db::operator_actions::{self, Action};
use crate::domain::Topic;
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::auth::{Operator, Principal};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, Reason};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};

/// Makes a dead letter pending again: it has all its attempts once more.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/redrive",
    operation_id = "redrive_dead_letter",
    tag = "People",
    params(("id" = Uuid, Path, description = "Its id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It will be tried again", body = Accepted),
        (status = 409, description = "`wrong-state`: it went on already, or its opening has no use for it"),
    ),
)]
pub async fn redrive(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let letter = act(&state, id, Act::Redrive, &operator, &body).await?;
    match letter.kind.parse::<Topic>() {
        Ok(topic) if letter.queue == "outbox" => state.wakers.relay(topic).notify_one(),
        _ => state.wakers.inbox.notify_one(),
    }
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

/// Lets a dead letter be.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/discard",
    operation_id = "discard_dead_letter",
    tag = "People",
    params(("id" = Uuid, Path, description = "Its id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It will not be tried again", body = Accepted),
        (status = 409, description = "`wrong-state`: it went on already"),
    ),
)]
pub async fn discard(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    act(&state, id, Act::Discard, &operator, &body).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

/// Either act, with its record. Doing it twice is doing it once.
async fn act(
    state: &Arc<AppState>,
    id: Uuid,
    act: Act,
    operator: &Principal,
    body: &Map<String, Value>,
) -> Result<Letter, ApiError> {
    let (why, who, clock) = (reason::read(body)?, Arc::clone(&operator.name), state.clock.clone());
    // The same in every try, so that one act is recorded once.
    let record = state.ids.next();
    let work = move |mut connection: Connection| {
        let (why, who, now) = (why.clone(), Arc::clone(&who), clock.now());
        async move {
            let mut transaction = connection.begin().await?;
            let mut letter = dead_letters::get(&mut transaction, id).await?.map(|whole| whole.letter);
            let mut acted = dead_letters::act(&mut transaction, id, act, &who, &why, now).await?;
            if matches!(acted, Acted::WrongState(_)) {
                // Somebody may have done the same between our look and our act: what stands now decides.
                acted = dead_letters::act(&mut transaction, id, act, &who, &why, now).await?;
            }
            if let (Some(letter), Acted::Done) = (&mut letter, acted) {
                // A discard says which opening it was about, where that was not known before.
                let now_about = dead_letters::get(&mut transaction, id).await?.and_then(|it| it.letter.opening_id);
                letter.opening_id = now_about;
                operator_actions::insert(&mut transaction, &action(record, letter, act, &who, why, now)).await?;
            }
            transaction.commit().await?;
            Ok((letter, acted))
        }
    };
    match database(&state.pool, work).await? {
        (Some(letter), Acted::Done | Acted::Already) => {
            tracing::info!(dead_letter.id = %id, act = ?act, "an operator acted on a dead letter");
            Ok(letter)
        }
        (_, Acted::WrongState(why)) => Err(ApiError::because(Kind::WrongState, why)),
        (None, _) | (_, Acted::NotFound) => Err(ApiError::new(Kind::NotFound)),
    }
}

fn action(id: Uuid, letter: &Letter, act: Act, who: &str, reason: String, at: Time) -> Action {
    Action {
        id,
        at,
        who: who.to_owned(),
        action: format!("{}_dead_letter", act.as_str()),
        subject: letter.id.to_string(),
        opening_id: letter.opening_id,
        reason,
        detail: json!({"queue": letter.queue, "kind": letter.kind, "cause": letter.cause}),
    }
}
