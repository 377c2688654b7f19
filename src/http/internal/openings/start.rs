//! `POST /v1/account-openings`: one opening per Idempotency-Key, whatever is repeated, raced or lost.
//!
//! The anchor, its first command and the key commit together (`starts`). A crash before the commit leaves nothing; after it,
//! the caller's repeat finds the first answer under the key. So does our own: when the reply to COMMIT was lost, the work is
//! done again under the same id and begins by reading the key. Where the flow is the synchronous one, the caller then waits
//! (`wait`).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use sqlx::PgConnection;
use tracing::Instrument as _;

use super::request::StartRequest;
use super::wait;
use crate::clock::{MAX_SKEW, Time};
use crate::db::advance::Advance;
use crate::db::idempotency::{Answer, Key};
use crate::domain::resource::Resource;
use crate::domain::text::{self as forms, form};
use crate::domain::{Flow, OpeningId, Source, Topic};
use crate::http::AppState;
use crate::http::internal::auth::Caller;
use crate::http::internal::json::JsonObject;
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};
use crate::provider::nexusbank;
use crate::services::ProfileService;
use crate::telemetry::metrics;

/// The header that makes a repeat safe.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest key.
const MAX_KEY: usize = 255;

/// The key of the request.
pub struct IdempotencyKey(String);

form!(IdempotencyKey, forms::matching("[!-~]+").min_length(Some(1)).max_length(Some(MAX_KEY)));

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut given = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (given.next(), given.next()) {
            (Some(key), None) => key.to_str().ok().filter(|key| is_key(key)),
            _ => None,
        };
        let refusal = ApiError::because(Kind::MissingIdempotencyKey, "one key of 1 to 255 visible ASCII characters");
        key.map(|key| Self(key.to_owned())).ok_or(refusal)
    }
}

fn is_key(text: &str) -> bool {
    (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Starts an account opening.
///
/// The same key with the same request is given the first answer again, with `Idempotent-Replayed: true`.
/// On the synchronous flow the answer waits for the decision, at most `SYNC_WAIT`.
#[utoipa::path(
    post,
    path = "/v1/account-openings",
    operation_id = "start_account_opening",
    tag = "Account openings",
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "Visible ASCII characters; kept for IDEMPOTENCY_TTL")),
    request_body = StartRequest,
    responses(
        (status = 202, description = "Started", body = Resource,
            headers(("Location" = String, description = "Where it can be read"),
                    ("Idempotent-Replayed" = String, description = "`true` where this is the first answer again"))),
        (status = 200, description = "Decided within SYNC_WAIT: rejected, or failed", body = Resource,
            headers(("Location" = String, description = "Where it can be read"),
                    ("Idempotent-Replayed" = String, description = "`true` where this is the first answer again"))),
        (status = 201, description = "Decided within SYNC_WAIT: the account is open", body = Resource,
            headers(("Location" = String, description = "Where it can be read"),
                    ("Idempotent-Replayed" = String, description = "`true` where this is the first answer again"))),
        (status = 400, description = "`invalid-json`, `missing-idempotency-key`, `unknown-field`"),
        (status = 403, description = "`forbidden`: callers start openings"),
        (status = 409, description = "`request-in-progress`: a caller with this key still waits"),
        (status = 422, description = "`validation-failed`, `idempotency-key-reused`"),
    ),
)]
pub async fn start(
    State(state): State<Arc<AppState>>,
    Caller(caller): Caller,
    IdempotencyKey(key): IdempotencyKey,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let asked = StartRequest::read(&body)?;
    let id = OpeningId(state.ids.next());
    let start = Start { id, digest: asked.digest(), asked, key, token: caller.name, state };
    // A client that hangs up ends its own waiting, not ours: its repeat wants an answer, and it may write for others.
    let task = tokio::spawn(Arc::new(start).answer().in_current_span());
    task.await.map_err(|_| ApiError::internal("the start of an opening panicked"))?
}

/// What stands under the key in the end.
pub(super) enum Found {
    /// The answer to this very request.
    Ours(Answer),
    /// The first answer, to an equal request before.
    First(Answer),
    /// The answer to another request.
    Other,
    /// An equal request that still waits for its answer.
    Waits,
    /// The answer to an equal request whose caller has waited for another: whoever waited is gone, or about to answer.
    Overdue(Answer),
    /// Others took it each time that nothing stood there, and it was free again.
    Gone,
    /// Somebody writes it this moment.
    Held,
    /// Nothing, and nothing was made: calls that it takes are not let through for so long.
    Refused(TimeDelta),
}

/// One request to start, the same in each of its tries.
pub(super) struct Start {
    pub id: OpeningId,
    pub asked: StartRequest,
    digest: Vec<u8>,
    key: String,
    token: Arc<str>,
    pub state: Arc<AppState>,
}

impl Start {
    async fn answer(self: Arc<Self>) -> Result<Response, ApiError> {
        match self.state.starts.write(Arc::clone(&self)).await? {
            Found::Ours(answer) => Ok(respond(self.waited(answer).await?, false)),
            Found::First(answer) => Ok(respond(answer, true)),
            Found::Other => Err(ApiError::new(Kind::IdempotencyKeyReused)),
            Found::Waits => Err(ApiError::new(Kind::RequestInProgress)),
            // What is told now is the first answer.
            Found::Overdue(answer) => Ok(respond(self.conclude(answer).await?, true)),
            Found::Gone | Found::Held => Err(ApiError::unavailable("the key was being taken by others")),
            Found::Refused(wait) => Err(ApiError::unavailable_for("a breaker is open for the synchronous flow", wait)),
        }
    }

    /// The answer that the caller is given in the end.
    async fn waited(self: Arc<Self>, answer: Answer) -> Result<Answer, ApiError> {
        let Some(until) = answer.waits_until else { return Ok(answer) };
        wait::wait(&self.state, self.id, until).await;
        self.conclude(answer).await
    }

    async fn conclude(self: Arc<Self>, answer: Answer) -> Result<Answer, ApiError> {
        let start = Arc::clone(&self);
        let work = move |mut connection: Connection| {
            let (start, answer) = (Arc::clone(&start), answer.clone());
            async move { wait::conclude(&mut connection, start.key(), answer, start.state.clock.now()).await }
        };
        database(&self.state.pool, work).await
    }

    /// The name that its repeats have.
    pub fn key(&self) -> Key<'_> {
        (&self.token, &self.key)
    }

    /// The caller's wish, else what the flag says.
    pub async fn flow(&self, connection: &mut PgConnection, now: Time) -> sqlx::Result<Flow> {
        if let Some(flow) = self.asked.flow() {
            return Ok(flow);
        }
        let rules = self.state.flags.rules(connection, now).await?;
        Ok(rules.flow(self.id, self.asked.market(), self.asked.customer_type()))
    }

    /// For how long the calls that a waiting caller would wait for are not let through.
    pub fn refused_for(&self) -> Option<TimeDelta> {
        let gates = &self.state.gates;
        let bank = gates.gate(nexusbank::NAME, nexusbank::OPEN).refused_for();
        bank.max(ProfileService::gate_of(gates).refused_for())
    }

    /// The opening as it begins.
    pub fn decide(&self, flow: Flow, now: Time) -> Advance {
        Advance::started(crate::domain::start(self.id, self.asked.request(flow), &self.state.settings.policy, now))
    }

    /// What is kept under the key with the opening.
    pub fn first_answer(&self, advance: &Advance, flow: Flow, now: Time) -> Answer {
        let body = serde_json::to_string(&Resource::from(&advance.opening)).unwrap_or_default();
        let status = i32::from(StatusCode::ACCEPTED.as_u16());
        let waits_until = (flow == Flow::Sync).then(|| now + self.state.settings.sync_wait);
        Answer { digest: self.digest.clone(), status, body, opening_id: self.id.0, waits_until }
    }

    /// What a committed answer under the key is to this request.
    pub fn judge(&self, answer: Answer, now: Time) -> Found {
        if answer.opening_id == self.id.0 {
            return Found::Ours(answer);
        }
        if answer.digest != self.digest {
            return Found::Other;
        }
        match answer.waits_until {
            None => Found::First(answer),
            Some(until) if still_waits(until, now, self.state.settings.sync_wait) => Found::Waits,
            Some(_) => Found::Overdue(answer),
        }
    }

    /// Tells of it, once.
    pub fn committed(&self) {
        let opening = crate::domain::StateName::CreatingProfile;
        metrics::transition(None, opening, Source::Api.as_str(), self.asked.market());
        tracing::info!(opening.id = %self.id, "an opening was started");
        self.state.wakers.relay(Topic::CreateProfile).notify_one();
        self.state.wakers.relay(Topic::DeliverEvent).notify_one();
    }

    /// As if it had never been tried.
    #[cfg(feature = "broken")]
    pub fn under_another_key(&self, tried: u32) -> Self {
        Self {
            id: OpeningId(self.state.ids.next()),
            asked: self.asked.clone(),
            digest: self.digest.clone(),
            key: format!("{}-{tried}", self.key),
            token: Arc::clone(&self.token),
            state: Arc::clone(&self.state),
        }
    }
}

/// Whether a caller still waits. Nobody waits for longer than that: a time further away was set by a clock that has been set
/// back since.
fn still_waits(until: Time, now: Time, sync_wait: Duration) -> bool {
    (until - MAX_SKEW * 2 - now).to_std().map_or(now < until, |left| left <= sync_wait)
}

fn respond(answer: Answer, replayed: bool) -> Response {
    let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let location = format!("/v1/account-openings/{}", answer.opening_id);
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::LOCATION, location)];
    let replayed = replayed.then_some([("idempotent-replayed", "true")]);
    (status.unwrap_or(StatusCode::ACCEPTED), headers, replayed, answer.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        assert!(is_key("a") && is_key(&"x".repeat(255)) && is_key("\"quoted\""));
        for wrong in ["", "two words", "\u{7f}", "é", &"x".repeat(256)] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }

    #[test]
    fn nobody_waits_for_longer_than_anybody_does_whatever_the_clock_said() {
        let (now, wait) = (Time::UNIX_EPOCH, Duration::from_secs(10));
        assert!(still_waits(now + wait, now, wait) && still_waits(now + TimeDelta::milliseconds(1), now, wait));
        assert!(!still_waits(now, now, wait) && !still_waits(now + wait + TimeDelta::minutes(1), now, wait));
        assert!(still_waits(now + wait + MAX_SKEW, now, wait), "another replica's clock may be a little ahead");
    }
}
