//! `POST /company/account-opening/set-status-sandbox`: says what the provider would say.
//!
//! The message takes the production path from burst dedup on. It carries no time, so that the same call twice is the same
//! bytes: a burst duplicate.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Operator;
use super::fields::{self, Takes, Wrong};
use super::json::JsonObject;
use super::path::uuid;
use super::work::{Connection, database};
use crate::db::openings;
use crate::domain::bank::made_up_iban;
use crate::domain::text::words;
use crate::domain::{Opening, OpeningId, ProviderRef, Report, Source, Verdict};
use crate::http::Edge;
use crate::http::problem::{ApiError, Kind, Problem};
use crate::ingest::Message;
use crate::provider::Headers;
use crate::provider::nexusbank;

/// The BIC that goes with a made-up IBAN.
const BIC: &str = "NEXUBEBB";

/// The longest text, in characters. It may be an IBAN that is none: what comes of that is for the service to show.
const MAX_TEXT: usize = 200;

words!(
    /// The provider's words.
    Word {
        /// Taken note of.
        Initiated = "INITIATED",
        /// Being worked on.
        InProgress = "IN_PROGRESS",
        /// The account is open.
        Completed = "COMPLETED",
        /// The same.
        Succeeded = "SUCCEEDED",
        /// The final no.
        Rejected = "REJECTED",
    }
);

impl Word {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Initiated => Verdict::Started,
            Self::InProgress => Verdict::Pending,
            Self::Completed | Self::Succeeded => Verdict::Completed,
            Self::Rejected => Verdict::Rejected,
        }
    }
}

/// What the provider is to say.
#[derive(Clone, Debug, ToSchema)]
pub struct SetStatus {
    /// The provider's tracking id, or our id.
    account_opening_request_id: String,
    /// `INITIATED`, `IN_PROGRESS`, `COMPLETED`, `SUCCEEDED` or `REJECTED`.
    #[schema(value_type = String, example = "COMPLETED")]
    status: Word,
    /// Made up for a completion if it is left out.
    iban: Option<String>,
    /// Made up for a completion if it is left out.
    bic: Option<String>,
    /// For a rejection.
    rejection_reason: Option<String>,
}

/// The message that was sent.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Sent {
    /// Its id.
    message_id: Uuid,
}

/// Sends a simulated webhook message. It does not exist in production.
#[utoipa::path(
    post,
    path = "/company/account-opening/set-status-sandbox",
    tag = "Sandbox",
    request_body = SetStatus,
    responses(
        (status = 202, description = "Sent", body = Sent),
        (status = 400, description = "`invalid-json`, `unknown-field`", body = Problem),
        (status = 403, description = "`forbidden`: operators act", body = Problem),
        (status = 404, description = "`not-found`: no opening has this id", body = Problem),
        (status = 413, description = "`payload-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
    ),
)]
pub async fn set_status(
    State(edge): State<Arc<Edge>>,
    Operator(operator): Operator,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Sent>), ApiError> {
    let asked = SetStatus::read(&body)?;
    let opening = find(&edge, &asked.account_opening_request_id).await?.ok_or(ApiError::new(Kind::NotFound))?;
    let name = opening.request.provider.clone();
    let provider = edge.providers.get(&name).ok_or_else(|| ApiError::internal("the opening's provider is unknown"))?;
    let body = provider.simulate(&asked.report(&opening));
    let message_id = edge.ids.next();
    let headers = Headers::of([("by", operator.name.as_ref())]);
    let message = Message {
        source: Source::Sandbox,
        provider: name,
        event_id: Some(message_id.to_string()),
        parsed: provider.parse(&headers, &body),
        body,
        headers,
        received_at: edge.clock.now(),
    };
    edge.ingest.receive(message).await.map_err(|error| ApiError::unavailable(error.to_string()))?;
    Ok((StatusCode::ACCEPTED, Json(Sent { message_id })))
}

impl SetStatus {
    fn read(body: &Map<String, Value>) -> Result<Self, ApiError> {
        let known = ["account_opening_request_id", "status", "iban", "bic", "rejection_reason"];
        fields::refuse_unknown(&[("", body, &known)])?;
        let mut wrong = Wrong::default();
        let id = wrong.required("", body, "account_opening_request_id", text);
        let status = wrong.required("", body, "status", fields::word);
        let (iban, bic) = (wrong.optional("", body, "iban", text), wrong.optional("", body, "bic", text));
        let rejection_reason = wrong.optional("", body, "rejection_reason", text);
        let asked = id.zip(status).map(|(account_opening_request_id, status)| Self {
            account_opening_request_id,
            status,
            iban,
            bic,
            rejection_reason,
        });
        wrong.or(asked)
    }

    /// An empty text is sent as it is: a completion without an account can be tried too.
    fn report(self, opening: &Opening) -> Report {
        let completed = self.status.verdict() == Verdict::Completed;
        let made_up = || made_up_iban(&opening.request.market, opening.id.0.as_u128()).as_str().to_owned();
        Report {
            reference: opening.state.reference().cloned(),
            our_reference: Some(opening.id.to_string()),
            verdict: self.status.verdict(),
            word: self.status.to_string(),
            iban: self.iban.or_else(|| completed.then(made_up)),
            bic: self.bic.or_else(|| completed.then(|| BIC.to_owned())),
            reason: self.rejection_reason,
        }
    }
}

fn text(text: &str) -> Result<String, Takes> {
    if text.chars().nth(MAX_TEXT).is_some() {
        return Err(format!("must be at most {MAX_TEXT} characters long"));
    }
    Ok(text.to_owned())
}

/// By the tracking id, else by our own.
async fn find(edge: &Edge, id: &str) -> Result<Option<Opening>, ApiError> {
    // What cannot be a tracking id is not asked for: the database takes no U+0000.
    let Ok(reference) = ProviderRef::new(id) else { return Ok(None) };
    let work = move |mut connection: Connection| {
        let reference = reference.to_string();
        async move {
            let ours = uuid(&reference);
            let held = openings::by_reference(&mut connection, &[nexusbank::NAME.to_owned()], &[reference]).await?;
            match held.first().map(|(.., id)| *id).or(ours) {
                Some(id) => openings::get(&mut connection, OpeningId(id)).await,
                None => Ok(None),
            }
        }
    };
    database(&edge.pool, work).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<SetStatus, (Kind, Vec<String>)> {
        SetStatus::read(body.as_object().unwrap())
            .map_err(|error| (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect()))
    }

    #[test]
    fn only_the_providers_words_are_said() {
        for word in ["INITIATED", "IN_PROGRESS", "COMPLETED", "SUCCEEDED", "REJECTED"] {
            assert!(read(&json!({"account_opening_request_id": "aor_1", "status": word, "iban": null})).is_ok());
        }
        for wrong in [json!("completed"), json!("DONE"), json!(1), json!(null)] {
            let (kind, pointers) = read(&json!({"account_opening_request_id": "aor_1", "status": wrong})).unwrap_err();
            assert_eq!((kind, pointers), (Kind::ValidationFailed, vec!["/status".to_owned()]));
        }
        assert_eq!(read(&json!({})).unwrap_err().1.len(), 2);
        assert_eq!(read(&json!({"id": "aor_1"})).unwrap_err().0, Kind::UnknownField);
    }
}
