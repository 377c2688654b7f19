//! Access tokens: each ends after some seconds, not at the time that its answer said, so that calls meet a refused one again and again.

use crate::files::now;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::Instant;

use super::super::calls;
use super::super::world::World;

/// How long a token is accepted. Its answer says an hour.
const LIFE: Duration = Duration::from_secs(7);

/// The tokens given, and when.
#[derive(Default)]
pub struct Tokens(HashMap<String, Instant>);

impl Tokens {
    fn give(&mut self) -> String {
        let token = format!("token-{}", self.0.len());
        self.0.insert(token.clone(), Instant::now());
        token
    }

    fn accepts(&self, token: &str) -> bool {
        self.0.get(token).is_some_and(|given| given.elapsed() < LIFE)
    }
}

/// Whether a call brings a token that has not ended.
pub fn is_authorized(world: &World, headers: &HeaderMap) -> bool {
    let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).and_then(|it| it.strip_prefix("Bearer "));
    token.is_some_and(|it| world.state().tokens.accepts(it))
}

pub async fn solaris(State(world): State<Arc<World>>) -> Response {
    let giving = Arc::clone(&world);
    calls::take(world, "token", async move {
        let token = giving.state().tokens.give();
        (
            StatusCode::OK,
            json!({"access_token": token, "expires_in": 3_599, "scope": "partners", "token_type": "bearer"}),
        )
    })
    .await
}

pub async fn airwallex(State(world): State<Arc<World>>) -> Response {
    let giving = Arc::clone(&world);
    calls::take(world, "token", async move {
        let token = giving.state().tokens.give();
        let ends = chrono::DateTime::from_timestamp_micros(now()).unwrap_or_default() + chrono::TimeDelta::minutes(30);
        let ends = ends.format("%Y-%m-%dT%H:%M:%S+0000").to_string();
        (StatusCode::CREATED, json!({"token": token, "expires_at": ends}))
    })
    .await
}

/// 401 in the form of Solaris or Airwallex; each reads what it knows.
pub fn unauthorized() -> Response {
    let code = "credentials_expired";
    let errors =
        [json!({"id": "x", "status": 401, "code": "invalid_token", "title": "Invalid Token", "detail": "expired"})];
    (StatusCode::UNAUTHORIZED, Json(json!({"errors": errors, "code": code, "message": "expired"}))).into_response()
}
