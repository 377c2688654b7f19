//! `POST /v1/providers/{provider}/backfill`: an operator wants the provider's list pulled, and says why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DurationRound, TimeDelta};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::Connection as _;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Named;
use crate::clock::Time;
use crate::db::backfills::Cause;
use crate::db::operator_actions::{self, Action};
use crate::http::AppState;
use crate::http::internal::auth::Operator;
use crate::http::internal::fields::{self, Timestamp, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::reason::{self, ReasonText};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};
use crate::workers::backfill::{BackfillRequest, request};

/// What is wanted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, of which only the text is kept")]
pub struct Wanted {
    /// For the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// From when on; a time before 1970 is taken as 1970. None: from the provider's last webhook, less the overlap.
    #[schema(value_type = Option<Timestamp>)]
    since: Option<Time>,
}

/// What will be done.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Started {
    /// Of the backfill that does it: one that has not begun and goes back as far serves this too.
    id: Uuid,
}

/// Pulls the provider's list and feeds it through the inbox: what it says counts like a webhook.
#[utoipa::path(
    post,
    path = "/v1/providers/{provider}/backfill",
    operation_id = "start_backfill",
    tag = "People",
    params(("provider" = String, Path, description = "Its name", example = "nexusbank")),
    request_body = Wanted,
    responses(
        (status = 202, description = "It will be done", body = Started),
        (status = 404, description = "`not-found`: no such provider"),
        (status = 409, description = "`wrong-state`: this provider has no list, or `since` has not come yet"),
    ),
)]
pub async fn start(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Named(provider): Named,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let now = state.clock.now();
    let (reason, since) = wanted(&body)?;
    let since = since.map(|since| from(since, now)).transpose()?;
    if !state.providers.get(provider).is_some_and(|it| it.capabilities().list_since) {
        return Err(ApiError::because(Kind::WrongState, "this provider has no list"));
    }
    let by = Some((operator.name.to_string(), reason.clone()));
    // The same in every try, so that one request is one backfill and one record.
    let asked = BackfillRequest {
        id: state.ids.next(),
        provider: provider.to_owned(),
        since,
        away_since: None,
        cause: Cause::Operator,
        by,
    };
    let action = Action {
        id: state.ids.next(),
        at: now,
        who: operator.name.to_string(),
        action: "backfill_provider".to_owned(),
        subject: provider.to_owned(),
        opening_id: None,
        reason,
        detail: json!({}),
    };
    let overlap = state.settings.catch_up_overlap;
    let work = move |mut connection: Connection| {
        let (asked, mut action) = (asked.clone(), action.clone());
        async move {
            let mut transaction = connection.begin().await?;
            let id = request(&mut transaction, &asked, overlap, now).await?;
            action.detail = json!({"backfill_id": id, "since": asked.since});
            operator_actions::insert(&mut transaction, &action).await?;
            transaction.commit().await?;
            Ok(id)
        }
    };
    let id = database(&state.pool, work).await?.ok_or(ApiError::internal("an operator's wish was not taken"))?;
    state.wakers.backfill.notify_one();
    tracing::info!(provider, backfill.id = %id, "an operator asked for a backfill");
    Ok((StatusCode::ACCEPTED, Json(Started { id })))
}

fn wanted(body: &Map<String, Value>) -> Result<(String, Option<Time>), ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "since"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason::reason);
    let since = wrong.optional("", body, "since", fields::timestamp);
    Ok((wrong.or(reason)?, since))
}

/// From when on the list is pulled, in the microseconds that the database keeps.
///
/// # Errors
/// 409 `wrong-state` when that time has not come: a list from then on would be empty, and say nothing about what was lost.
fn from(since: Time, now: Time) -> Result<Time, ApiError> {
    if since > now {
        return Err(ApiError::because(Kind::WrongState, "since is in the future"));
    }
    let since = since.max(Time::UNIX_EPOCH);
    since.duration_trunc(TimeDelta::microseconds(1)).map_err(|error| ApiError::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_has_a_reason_and_perhaps_a_time() {
        let read = |body: Value| wanted(body.as_object().unwrap()).map_err(|error| error.kind());
        assert_eq!(read(json!({"reason": "lost"})), Ok(("lost".to_owned(), None)));
        assert_eq!(read(json!({"reason": "lost", "since": null})), Ok(("lost".to_owned(), None)));
        for since in ["2026-01-01", "yesterday", "", "99999-01-01T00:00:00Z"] {
            assert_eq!(read(json!({"reason": "lost", "since": since})), Err(Kind::ValidationFailed), "{since}");
        }
        for wrong in
            [json!({}), json!({"reason": ""}), json!({"reason": "x".repeat(501)}), json!({"reason": "x", "since": 7})]
        {
            assert_eq!(read(wrong), Err(Kind::ValidationFailed));
        }
        assert_eq!(read(json!({"reason": "lost", "until": "x"})), Err(Kind::UnknownField));
    }

    #[test]
    fn a_time_that_has_not_come_is_refused_and_one_before_1970_is_1970() {
        let now: Time = "2026-01-01T00:00:00Z".parse().unwrap();
        let read = |text: &str| from(fields::timestamp(text).unwrap(), now).map_err(|error| error.kind());
        for since in ["2025-12-31T23:59:59Z", "2026-01-01T01:59:59.0000001+02:00", "2026-01-01T00:00:00Z"] {
            assert!(read(since).unwrap() <= now, "{since}");
        }
        for since in ["2026-01-01T00:00:01Z", "9999-12-31T23:59:59-23:59"] {
            assert_eq!(read(since), Err(Kind::WrongState), "{since}");
        }
        for since in ["1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z"] {
            assert_eq!(read(since), Ok(Time::UNIX_EPOCH), "{since}");
        }
    }
}
