//! `POST /v1/providers/{provider}/backfill`: an operator wants the provider's list pulled, and says why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::Connection as _;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Named;
use crate::clock::Time;
use crate::db::backfills::Cause;
use crate::db::operator_actions::{self, Action};
use crate::http::Edge;
use crate::http::internal::auth::Operator;
use crate::http::internal::fields::{self, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::reason;
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind, Problem};
use crate::workers::catch_up::{Asked, request};

/// What is wanted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, of which only the text is kept")]
pub struct Wanted {
    /// For the record.
    #[schema(example = "the bank says that its webhooks were lost", min_length = 1, max_length = 500)]
    reason: String,
    /// From when on, RFC 3339, not in the future. None: from the provider's last webhook, less the overlap.
    since: Option<DateTime<Utc>>,
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
    params(("provider" = String, Path, description = "Its name, such as `nexusbank`")),
    request_body = Wanted,
    responses(
        (status = 202, description = "It will be done", body = Started),
        (status = 400, description = "`invalid-json`, `unknown-field`", body = Problem),
        (status = 403, description = "`forbidden`: operators act", body = Problem),
        (status = 404, description = "`not-found`: no such provider", body = Problem),
        (status = 409, description = "`wrong-state`: this provider has no list", body = Problem),
        (status = 413, description = "`payload-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
    ),
)]
pub async fn start(
    State(edge): State<Arc<Edge>>,
    Operator(operator): Operator,
    Named(provider): Named,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let now = edge.clock.now();
    let (reason, since) = wanted(&body, now)?;
    if !edge.providers.get(provider).is_some_and(|it| it.capabilities().list_since) {
        return Err(ApiError::because(Kind::WrongState, "this provider has no list"));
    }
    let by = Some((operator.name.to_string(), reason.clone()));
    // The same in every try, so that one request is one backfill and one record.
    let asked = Asked {
        id: edge.ids.next(),
        provider: provider.to_owned(),
        since,
        away_since: None,
        cause: Cause::Operator,
        by,
    };
    let action = Action {
        id: edge.ids.next(),
        at: now,
        who: operator.name.to_string(),
        action: "backfill_provider".to_owned(),
        subject: provider.to_owned(),
        opening_id: None,
        reason,
        detail: json!({}),
    };
    let overlap = edge.settings.catch_up_overlap;
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
    let id = database(&edge.pool, work).await?.ok_or(ApiError::internal("an operator's wish was not taken"))?;
    edge.wakers.catch_up.notify_one();
    tracing::info!(provider, backfill.id = %id, "an operator asked for a backfill");
    Ok((StatusCode::ACCEPTED, Json(Started { id })))
}

fn wanted(body: &Map<String, Value>, now: Time) -> Result<(String, Option<Time>), ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "since"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason::reason);
    let since = wrong.optional("", body, "since", |text| past(text, now));
    Ok((wrong.or(reason)?, since))
}

/// RFC 3339, not in the future, in the microseconds that the database keeps.
fn past(text: &str, now: Time) -> Result<Time, fields::Takes> {
    let time = DateTime::parse_from_rfc3339(text).ok().map(|it| it.to_utc());
    let time = time.and_then(|it| it.duration_trunc(TimeDelta::microseconds(1)).ok());
    let time = time.filter(|it| *it <= now && *it >= Time::UNIX_EPOCH);
    time.ok_or_else(|| "must be an RFC 3339 time that is past, such as 2026-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_has_a_reason_and_perhaps_a_time_that_is_past() {
        let now: Time = "2026-01-01T00:00:00Z".parse().unwrap();
        let read = |body: Value| wanted(body.as_object().unwrap(), now).map_err(|error| error.kind());
        assert_eq!(read(json!({"reason": "lost"})), Ok(("lost".to_owned(), None)));
        assert_eq!(read(json!({"reason": "lost", "since": null})), Ok(("lost".to_owned(), None)));
        for since in ["2025-12-31T23:59:59Z", "2026-01-01T01:59:59.0000001+02:00", "2026-01-01T00:00:00Z"] {
            assert!(read(json!({"reason": "lost", "since": since})).unwrap().1.unwrap() <= now, "{since}");
        }
        for since in
            ["2026-01-01T00:00:01Z", "2026-01-01", "yesterday", "", "1969-12-31T23:59:59Z", "99999-01-01T00:00:00Z"]
        {
            assert_eq!(read(json!({"reason": "lost", "since": since})), Err(Kind::ValidationFailed), "{since}");
        }
        for wrong in
            [json!({}), json!({"reason": ""}), json!({"reason": "x".repeat(501)}), json!({"reason": "x", "since": 7})]
        {
            assert_eq!(read(wrong), Err(Kind::ValidationFailed));
        }
        assert_eq!(read(json!({"reason": "lost", "until": "x"})), Err(Kind::UnknownField));
    }
}
