//! Access tokens of the banks that give such: one at a time is valid for an hour or half of one, until it is revoked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::TimeDelta;
use clock::Time;
use serde_json::json;

use super::{Bank, CLIENT_ID, CLIENT_SECRET, reply};
use crate::calls::Taken;
use crate::endpoint::Api;
use crate::world::World;

const SOLARIS_LIFE: TimeDelta = TimeDelta::seconds(3_599);
const AIRWALLEX_LIFE: TimeDelta = TimeDelta::minutes(30);

/// The tokens given so far.
#[derive(Default)]
pub(crate) struct Tokens {
    /// Bank and end, by token.
    valid: BTreeMap<String, (Bank, Time)>,
    /// How many were given.
    pub(crate) given: u64,
}

impl Tokens {
    fn give(&mut self, bank: Bank, ends_at: Time) -> String {
        self.given += 1;
        let token = format!("token-{}-{}", bank.name(), self.given);
        self.valid.insert(token.clone(), (bank, ends_at));
        token
    }

    /// Revokes all: the next call with any of them is answered 401.
    pub(crate) fn revoke(&mut self) {
        self.valid.clear();
    }

    fn accepts(&self, bank: Bank, token: &str, now: Time) -> bool {
        self.valid.get(token).is_some_and(|(of, ends_at)| *of == bank && now < *ends_at)
    }
}

/// Whether a call brings a valid token of this bank.
pub(crate) fn is_authorized(world: &World, bank: Bank, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default();
    let accepts = world.tokens().accepts(bank, token, world.clock.now());
    if !accepts {
        world.ledger().counts.calls_unauthorized += 1;
    }
    accepts
}

/// `POST /oauth2/token` of Solaris.
pub(crate) async fn solaris(State(world): State<Arc<World>>, headers: HeaderMap, body: String) -> Response {
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let is_known = headers.get(AUTHORIZATION).is_some_and(|it| it.as_bytes() == expected.as_bytes());
    let form = "grant_type=client_credentials&scope=partners";
    give(&world, Bank::Solaris, is_known && body == form, SOLARIS_LIFE).await
}

/// `POST /api/v1/authentication/login` of Airwallex.
pub(crate) async fn airwallex(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|it| it.as_bytes() == value.as_bytes());
    let is_known = is("x-client-id", CLIENT_ID) && is("x-api-key", CLIENT_SECRET);
    give(&world, Bank::Airwallex, is_known, AIRWALLEX_LIFE).await
}

async fn give(world: &Arc<World>, bank: Bank, is_known: bool, life: TimeDelta) -> Response {
    let outage = world.ledger().outages.get(&Api::Tokens).copied();
    if let Some(outage) = outage {
        return reply(world, Ok(bank.worded(Taken::Fault(outage)))).await;
    }
    if !is_known {
        world.ledger().counts.calls_unauthorized += 1;
        let (status, body) = bank.error(StatusCode::UNAUTHORIZED, "credentials_invalid", "unknown client");
        return (status, Json(body)).into_response();
    }
    let ends_at = world.clock.now() + life;
    let token = world.tokens().give(bank, ends_at);
    let (status, answer) = if bank == Bank::Airwallex {
        let ends_at = ends_at.format("%Y-%m-%dT%H:%M:%S+0000").to_string();
        (StatusCode::CREATED, json!({"expires_at": ends_at, "token": token}))
    } else {
        let seconds = life.num_seconds();
        let answer = json!({"access_token": token, "expires_in": seconds, "scope": "partners", "token_type": "bearer"});
        (StatusCode::OK, answer)
    };
    (status, Json(answer)).into_response()
}
