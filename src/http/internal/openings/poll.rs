//! `POST /v1/account-openings/{id}/poll`: an operator wants the provider asked now.
//!
//! The wish is a fact like any other: it goes through the inbox, and the poller asks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::operator_actions::{self, Action};
use crate::db::{inbox, openings};
use crate::domain::{Fact, Opening, OpeningId, Source, State as OpeningState};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::auth::Operator;
use crate::http::internal::path::Id;
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};
use crate::workers::facts;

/// Asks the provider now, also when people were told already.
#[utoipa::path(
    post,
    path = "/v1/account-openings/{id}/poll",
    operation_id = "poll_account_opening",
    tag = "Account openings",
    params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 202, description = "The provider will be asked", body = Accepted),
        (status = 409, description = "`wrong-state`: no tracking id yet, or decided already"),
    ),
)]
pub async fn poll(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    // The same in every try, so that one request is one fact.
    let (act, shared, by) = (state.ids.next(), Arc::clone(&state), operator.name);
    let work = move |mut connection: Connection| {
        let (state, by) = (Arc::clone(&shared), Arc::clone(&by));
        async move {
            let Some(opening) = openings::get(&mut connection, OpeningId(id)).await? else { return Ok(None) };
            if !can_be_asked(&opening) {
                // By now, perhaps because of this very wish, when the reply to its commit was lost.
                return Ok(Some(operator_actions::is_recorded(&mut connection, act).await?));
            }
            let (provider, event_id) = (&opening.request.provider, format!("poll-request:{act}"));
            let (fact, now) = (Fact::PollRequested, state.clock.now());
            let mut fact = facts::new(&state.ids, Source::Operator, provider, event_id, id, &fact, now);
            fact.headers = json!({"by": &*by});
            let mut transaction = connection.begin().await?;
            inbox::insert(&mut transaction, &[fact]).await?;
            operator_actions::insert(&mut transaction, &action(act, id, &by, now)).await?;
            transaction.commit().await?;
            Ok(Some(true))
        }
    };
    match database(&state.pool, work).await? {
        None => Err(ApiError::new(Kind::NotFound)),
        Some(false) => Err(ApiError::because(Kind::WrongState, "it does not wait for an answer of the provider")),
        Some(true) => {
            state.wakers.inbox.notify_one();
            tracing::info!(opening.id = %id, "an operator asked for a poll");
            Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
        }
    }
}

fn action(id: Uuid, opening: Uuid, who: &str, at: Time) -> Action {
    Action {
        id,
        at,
        who: who.to_owned(),
        action: "poll_opening".to_owned(),
        subject: opening.to_string(),
        opening_id: Some(opening),
        // Nobody is asked for one.
        reason: String::new(),
        detail: json!({}),
    }
}

const fn can_be_asked(opening: &Opening) -> bool {
    matches!(opening.state, OpeningState::AwaitingProvider(_) | OpeningState::Escalated(_))
}
