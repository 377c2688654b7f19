//! `POST /v1/dead-letters/{id}/redrive` and `/discard`: a person decides, and says why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use sqlx::Connection as _;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::dead_letters::{self, Act, Acted, Letter};
use crate::domain::Topic;
use crate::http::Edge;
use crate::http::internal::Accepted;
use crate::http::internal::auth::{Operator, Principal};
use crate::http::internal::fields::{self, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind, Problem};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// Why.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, of which only the text is kept")]
pub struct Reason {
    /// For the record.
    #[schema(example = "the provider repaired its answer", min_length = 1, max_length = 500)]
    reason: String,
}

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
        (status = 400, description = "`invalid-json`, `unknown-field`", body = Problem),
        (status = 403, description = "`forbidden`: operators act", body = Problem),
        (status = 404, description = "`not-found`", body = Problem),
        (status = 409, description = "`wrong-state`: it went on already, or its opening has no use for it", body = Problem),
        (status = 413, description = "`payload-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
    ),
)]
pub async fn redrive(
    State(edge): State<Arc<Edge>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let letter = act(&edge, id, Act::Redrive, &operator, &body).await?;
    match letter.kind.parse::<Topic>() {
        Ok(topic) if letter.queue == "outbox" => edge.wakers.relay(topic).notify_one(),
        _ => edge.wakers.inbox.notify_one(),
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
        (status = 400, description = "`invalid-json`, `unknown-field`", body = Problem),
        (status = 403, description = "`forbidden`: operators act", body = Problem),
        (status = 404, description = "`not-found`", body = Problem),
        (status = 409, description = "`wrong-state`: it went on already", body = Problem),
        (status = 413, description = "`payload-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
    ),
)]
pub async fn discard(
    State(edge): State<Arc<Edge>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    act(&edge, id, Act::Discard, &operator, &body).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

/// Either act, with its record. Doing it twice is doing it once.
async fn act(
    edge: &Arc<Edge>,
    id: Uuid,
    act: Act,
    operator: &Principal,
    body: &Map<String, Value>,
) -> Result<Letter, ApiError> {
    let (why, who, clock) = (reason(body)?, Arc::clone(&operator.name), edge.clock.clone());
    let work = move |mut connection: Connection| {
        let (why, who, now) = (why.clone(), Arc::clone(&who), clock.now());
        async move {
            let mut transaction = connection.begin().await?;
            let letter = dead_letters::get(&mut transaction, id).await?.map(|whole| whole.letter);
            let mut acted = dead_letters::act(&mut transaction, id, act, &who, &why, now).await?;
            if matches!(acted, Acted::WrongState(_)) {
                // Somebody may have done the same between our look and our act: what stands now decides.
                acted = dead_letters::act(&mut transaction, id, act, &who, &why, now).await?;
            }
            transaction.commit().await?;
            Ok((letter, acted))
        }
    };
    match database(&edge.pool, work).await? {
        (Some(letter), Acted::Done) => {
            tracing::info!(dead_letter.id = %id, act = ?act, "an operator acted on a dead letter");
            Ok(letter)
        }
        (_, Acted::WrongState(why)) => Err(ApiError::because(Kind::WrongState, why)),
        (None, _) | (_, Acted::NotFound) => Err(ApiError::new(Kind::NotFound)),
    }
}

fn reason(body: &Map<String, Value>) -> Result<String, ApiError> {
    fields::refuse_unknown(&[("", body, &["reason"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", |text| fields::text(text, MAX_REASON));
    wrong.or(reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_act_has_a_reason_of_1_to_500_characters() {
        let read = |body: Value| reason(body.as_object().unwrap()).map_err(|error| error.kind());
        assert_eq!(read(json!({"reason": "fixed"})), Ok("fixed".to_owned()));
        for wrong in [json!({}), json!({"reason": ""}), json!({"reason": 1}), json!({"reason": "x".repeat(501)})] {
            assert_eq!(read(wrong), Err(Kind::ValidationFailed));
        }
        assert_eq!(read(json!({"reason": "fixed", "why": "x"})), Err(Kind::UnknownField));
    }
}
