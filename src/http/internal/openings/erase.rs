//! `POST /v1/account-openings/{id}/erase`: the personal data of a finished opening goes, everywhere it stands.
//!
//! One transaction under the anchor's lock: a crash leaves all of it, or nothing. State, version and history stay, and the
//! history still verifies.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::db::operator_actions::{self, Action};
use crate::db::{erasure, openings};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::auth::Operator;
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, Reason};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};

/// Erases the personal data of an account opening that has ended. It cannot be undone. A repeat changes nothing, but for what
/// came since and could not be recognised then.
#[utoipa::path(
    post,
    path = "/v1/account-openings/{id}/erase",
    operation_id = "erase_account_opening",
    tag = "Account openings",
    params(("id" = Uuid, Path, description = "Its id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It is erased", body = Accepted),
        (status = 409, description = "`wrong-state`: it has not ended"),
    ),
)]
pub async fn erase(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let (reason, act, clock) = (reason::read(&body)?, state.ids.next(), state.clock.clone());
    let work = move |mut connection: Connection| {
        let (who, reason, at) = (operator.name.to_string(), reason.clone(), clock.now());
        async move {
            let mut transaction = connection.begin().await?;
            let (action, subject) = ("erase_opening".to_owned(), id.to_string());
            let action = Action { id: act, at, who, action, subject, opening_id: Some(id), reason, detail: json!({}) };
            let erased = once(&mut transaction, id, &action).await?;
            transaction.commit().await?;
            Ok(erased)
        }
    };
    match database(&state.pool, work).await? {
        Erased::Now => tracing::info!(opening.id = %id, "an operator erased the personal data of an opening"),
        Erased::Already => {}
        Erased::NotEnded => {
            return Err(ApiError::because(Kind::WrongState, "it has not ended: its data is still needed"));
        }
        Erased::NotFound => return Err(ApiError::new(Kind::NotFound)),
    }
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

/// What came of it.
enum Erased {
    Now,
    Already,
    NotEnded,
    NotFound,
}

async fn once(connection: &mut PgConnection, id: Uuid, action: &Action) -> sqlx::Result<Erased> {
    let Some(anchor) = openings::lock(connection, &[id]).await?.pop() else { return Ok(Erased::NotFound) };
    let opening = anchor.opening;
    if opening.state.erased_at().is_some() {
        erasure::again(connection, &opening, action.at).await?;
        return Ok(Erased::Already);
    }
    if !opening.state_name().is_terminal() {
        return Ok(Erased::NotEnded);
    }
    erasure::erase(connection, &opening, action.at).await?;
    // After it, for it empties what earlier acts said.
    operator_actions::insert(connection, action).await?;
    Ok(Erased::Now)
}
