//! `POST /v1/rejected-requests/reverify`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::ProviderName;
use crate::acts::Operator;
use crate::acts::reason::ReasonText;
use crate::acts::reverify_all::{self, Reverified, ReverifyAllRequest};
use crate::db::refused_webhooks::{Cause, ReverifyFilter};
use crate::http::AppState;
use crate::http::internal::fields::body;
use crate::http::internal::forms::Timestamp;
use crate::http::internal::json::Body;
use crate::http::problem::ApiError;

body!(
    /// The filter and the reason of a repeated verification.
    WhichToVerify {
        /// The reason, for the record.
        reason: ReasonText,
        /// Only requests to this provider's path.
        provider: Option<ProviderName>,
        /// Only requests refused for this cause.
        cause: Option<Cause>,
        /// Only requests received at this time or later.
        since: Option<Timestamp>,
        /// Only requests received before this time.
        until: Option<Timestamp>,
    }
);

/// The result of a repeated verification.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct VerifiedAgain {
    /// The number of requests verified again.
    checked: usize,
    /// Of these, now verified: they are in the inbox.
    verified: usize,
    /// Of these, still refused. The same secrets would refuse them again, so the next call skips them.
    still_refused: usize,
    /// The number of requests left. Above zero: call again.
    remaining: i64,
}

/// Verifies refused requests again with the current secrets, judging signed times as of receipt, and stores verified
/// ones in the inbox.
#[utoipa::path(
    post,
    path = "/v1/rejected-requests/reverify",
    operation_id = "reverify_rejected_requests",
    tag = "People",
    request_body = WhichToVerify,
    responses(
        (status = 200, description = "The result of a few seconds of work", body = VerifiedAgain),
    ),
)]
pub async fn reverify_all(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Body(body): Body<WhichToVerify>,
) -> Result<Json<VerifiedAgain>, ApiError> {
    Ok(Json(reverify_all::run(&state.acts, &operator, body.into()).await?.into()))
}

impl From<Reverified> for VerifiedAgain {
    fn from(Reverified { checked, verified, still_refused, remaining }: Reverified) -> Self {
        Self { checked, verified, still_refused, remaining }
    }
}

impl From<WhichToVerify> for ReverifyAllRequest {
    fn from(WhichToVerify { reason, provider, cause, since, until }: WhichToVerify) -> Self {
        Self { filter: ReverifyFilter { provider, cause, since, until }, reason }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::Kind;

    #[test]
    fn a_bulk_request_needs_a_reason_and_may_be_narrowed() {
        let ask = |body: Value| fields::read::<WhichToVerify>(&body).map_err(|error| error.kind());
        let WhichToVerify { reason, cause, since, until, .. } =
            ask(json!({"reason": "x", "provider": "somebank", "cause": "signature_wrong",
            "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T01:00:00+01:00"}))
            .unwrap();
        assert_eq!((reason.as_str(), cause), ("x", Some(Cause::SignatureWrong)));
        assert_eq!(until.unwrap() - since.unwrap(), chrono::TimeDelta::days(1));
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
