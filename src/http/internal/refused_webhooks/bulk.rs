//! `POST /v1/rejected-requests/reverify`: all that were refused by mistake are taken in after all, oldest first.
//!
//! It works page by page for as long as a caller waits, and says what is left. A page is taken in at once, so that it is one
//! commit, then marked; calling again goes on where it stopped.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures::future::join_all;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use uuid::Uuid;

use super::reverify::{TAKEN_WITHIN, action, mark};
use super::{ProviderName, cause, provider};
use crate::clock::Time;
use crate::db::operator_actions::Action;
use crate::db::refused_webhooks::{self, Candidate, Cause, ReverifyFilter};
use crate::http::AppState;
use crate::http::internal::auth::Operator;
use crate::http::internal::fields::{self, Timestamp, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::reason::{self, ReasonText};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::ApiError;
use crate::refused_webhooks::{Again, checks, look_again};

/// Requests that are looked at together: with bodies of the largest size they are some 8 MiB.
const PAGE: i64 = 32;

/// Which, and why.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, of which only the values are kept")]
pub struct WhichToVerify {
    /// For the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// Only those sent to this provider's path.
    #[schema(value_type = Option<ProviderName>)]
    provider: Option<String>,
    /// Only those refused for this.
    cause: Option<Cause>,
    /// Only those that came at this time or later.
    #[schema(value_type = Option<Timestamp>)]
    since: Option<Time>,
    /// Only those that came before this time.
    #[schema(value_type = Option<Timestamp>)]
    until: Option<Time>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct VerifiedAgain {
    /// Requests that were looked at.
    checked: usize,
    /// Of those, the provider's: they are in the inbox.
    verified: usize,
    /// Of those, still refused. The same secrets refuse them again, so the next call passes over them.
    still_refused: usize,
    /// What is left to be looked at: above zero, call again.
    remaining: i64,
}

/// Verifies refused requests again, with the secrets of today and their time judged as at receipt, and takes them in.
#[utoipa::path(
    post,
    path = "/v1/rejected-requests/reverify",
    operation_id = "reverify_rejected_requests",
    tag = "People",
    request_body = WhichToVerify,
    responses(
        (status = 200, description = "As far as it came within a few seconds", body = VerifiedAgain),
    ),
)]
pub async fn reverify_all(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    JsonObject(body): JsonObject,
) -> Result<Json<VerifiedAgain>, ApiError> {
    let (reason, asked) = read(&body)?;
    let detail = json!({"provider": asked.provider, "cause": asked.cause, "since": asked.since, "until": asked.until});
    let action = action(&state, &operator, "rejected-requests".to_owned(), reason, detail);
    let done =
        Run { state: &state, asked: Arc::new(asked), by: Arc::new(checks(&state.providers)), action }.all().await?;
    tracing::info!(checked = done.checked, verified = done.verified, "refused requests were verified again");
    Ok(Json(done))
}

struct Run<'a> {
    state: &'a AppState,
    asked: Arc<ReverifyFilter>,
    by: Arc<Vec<(String, String)>>,
    action: Action,
}

impl Run<'_> {
    async fn all(self) -> Result<VerifiedAgain, ApiError> {
        // Half of it for pages to begin in, so that the last one that began has as long to end.
        let (begins_until, ends) = (Instant::now() + TAKEN_WITHIN / 2, Instant::now() + TAKEN_WITHIN);
        let mut done = VerifiedAgain::default();
        let mut after = None;
        while Instant::now() < begins_until {
            let page = self.page(after).await?;
            let Some(last) = page.last().map(|it| it.id) else { break };
            after = Some(last);
            let missed = self.take(page, ends, &mut done).await?;
            if missed > 0 && done.checked == 0 {
                return Err(ApiError::unavailable("refused requests were verified, and could not be taken in"));
            }
            if missed > 0 {
                break;
            }
        }
        done.remaining = self.remaining().await?;
        Ok(done)
    }

    /// Looks at a page and marks what came of it. Returns how many were the provider's and could not be taken in.
    async fn take(&self, page: Vec<Candidate>, ends: Instant, done: &mut VerifiedAgain) -> Result<usize, ApiError> {
        let AppState { providers, ingest, secret_uses, .. } = self.state;
        // Polled in order, so that they are in the inbox in the order of their receipt.
        let looking = page.into_iter().map(|it| timeout_at(ends, look_again(it, providers, ingest, secret_uses)));
        let (mut believed, mut still, mut missed) = (Vec::new(), Vec::new(), 0);
        for looked in join_all(looking).await {
            match looked {
                Ok(Ok(Again::Believed(it))) => believed.push(it),
                Ok(Ok(Again::Refused(_, it))) => still.push(it),
                Ok(Ok(Again::UnknownProvider)) => {}
                Ok(Err(_)) | Err(_) => missed += 1,
            }
        }
        let (verified, still_refused) = (believed.len(), still.len());
        if verified + still_refused > 0 {
            mark(self.state, believed, still, self.action.clone()).await?;
        }
        done.checked += verified + still_refused;
        done.verified += verified;
        done.still_refused += still_refused;
        Ok(missed)
    }

    async fn page(&self, after: Option<Uuid>) -> Result<Vec<Candidate>, ApiError> {
        let (asked, by) = (Arc::clone(&self.asked), Arc::clone(&self.by));
        let work = move |mut connection: Connection| {
            let (asked, by) = (Arc::clone(&asked), Arc::clone(&by));
            async move { refused_webhooks::candidates(&mut connection, &asked, &by, after, PAGE).await }
        };
        database(&self.state.pool, work).await
    }

    async fn remaining(&self) -> Result<i64, ApiError> {
        let (asked, by) = (Arc::clone(&self.asked), Arc::clone(&self.by));
        let work = move |mut connection: Connection| {
            let (asked, by) = (Arc::clone(&asked), Arc::clone(&by));
            async move { refused_webhooks::remaining(&mut connection, &asked, &by).await }
        };
        database(&self.state.pool, work).await
    }
}

fn read(body: &Map<String, Value>) -> Result<(String, ReverifyFilter), ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "provider", "cause", "since", "until"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason::reason);
    let asked = ReverifyFilter {
        provider: wrong.optional("", body, "provider", provider),
        cause: wrong.optional("", body, "cause", cause),
        since: wrong.optional("", body, "since", fields::timestamp),
        until: wrong.optional("", body, "until", fields::timestamp),
    };
    wrong.or(reason).map(|reason| (reason, asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Kind;

    #[test]
    fn what_is_asked_for_needs_a_reason_and_may_be_narrowed() {
        let ask = |body: Value| read(body.as_object().unwrap()).map_err(|error| error.kind());
        let (reason, asked) = ask(json!({"reason": "x", "provider": "nexusbank", "cause": "signature_wrong",
            "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T01:00:00+01:00"}))
        .unwrap();
        assert_eq!((reason.as_str(), asked.cause), ("x", Some("signature_wrong")));
        assert_eq!(asked.until.unwrap() - asked.since.unwrap(), chrono::TimeDelta::days(1));
        for wrong in [
            json!({}),
            json!({"reason": ""}),
            json!({"reason": "x", "cause": "other"}),
            json!({"reason": "x", "since": "yesterday"}),
            json!({"reason": "x", "until": "99999-01-01T00:00:00Z"}),
            json!({"reason": "x", "provider": "a\u{0}"}),
        ] {
            assert_eq!(ask(wrong.clone()).map(|_| ()), Err(Kind::ValidationFailed), "{wrong}");
        }
        assert_eq!(ask(json!({"reason": "x", "all": true})).map(|_| ()), Err(Kind::UnknownField));
    }
}
