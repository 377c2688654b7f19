//! Who is asking, and what they may do: bearer tokens, and roles of which each may do all that those before it may.
//!
//! Every token is compared in constant time and all of them each time, by their digests, so that neither the time nor the
//! length tells how close a guess was.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::config::{Role, Token};
use crate::http::problem::{ApiError, Kind};

/// Somebody whose token was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's name: it stands in logs and in the record of acts.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
}

/// The tokens that there are.
#[derive(Clone)]
pub struct Keyring(Arc<[([u8; 32], Principal)]>);

impl Keyring {
    /// These tokens.
    #[must_use]
    pub fn new(tokens: &[Token]) -> Self {
        let entry = |token: &Token| {
            let principal = Principal { name: token.name.as_str().into(), role: token.role };
            (digest(token.secret.expose_secret()), principal)
        };
        Self(tokens.iter().map(entry).collect())
    }

    fn find(&self, token: &str) -> Option<&Principal> {
        let asked = digest(token);
        let mut found = None;
        for (held, principal) in self.0.iter() {
            let same: Choice = held.ct_eq(&asked);
            if bool::from(same) {
                found = Some(principal);
            }
        }
        found
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The layer: nobody passes without a token, to whatever path.
pub async fn authenticate(State(keyring): State<Keyring>, mut request: Request, next: Next) -> Response {
    let Some(principal) = bearer(request.headers()).and_then(|token| keyring.find(token)).cloned() else {
        return ApiError::new(Kind::Unauthenticated).into_response();
    };
    tracing::Span::current().record("token.name", &*principal.name);
    request.extensions_mut().insert(principal);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Somebody who may start openings.
#[derive(Clone, Debug)]
pub struct Caller(pub Principal);

/// Somebody who may act on openings and dead letters.
#[derive(Clone, Debug)]
pub struct Operator(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        allowed(parts, Role::Caller).map(Self)
    }
}

/// Somebody who may set flags.
#[derive(Clone, Debug)]
pub struct Admin(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        allowed(parts, Role::Admin).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        allowed(parts, Role::Operator).map(Self)
    }
}

/// Readers need no check of their own: every token has at least that role.
fn allowed(parts: &Parts, least: Role) -> Result<Principal, ApiError> {
    let principal: &Principal = parts.extensions.get().ok_or(ApiError::new(Kind::Unauthenticated))?;
    if principal.role >= least { Ok(principal.clone()) } else { Err(ApiError::new(Kind::Forbidden)) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn keyring() -> Keyring {
        let token = |name: &str, secret: &str, role| Token { name: name.into(), secret: secret.into(), role };
        Keyring::new(&[token("shop", "token-shop", Role::Caller), token("desk", "token-desk", Role::Operator)])
    }

    #[test]
    fn only_the_whole_token_after_the_bearer_scheme_is_one() {
        let who = |header: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(header).unwrap())]);
            bearer(&headers).and_then(|token| keyring().find(token).map(|it| it.name.to_string()))
        };
        assert_eq!(who("Bearer token-shop").as_deref(), Some("shop"));
        assert_eq!(who("bearer token-desk").as_deref(), Some("desk"));
        for wrong in
            ["", "Bearer", "Bearer ", "Basic token-shop", "token-shop", "Bearer token-sho", "Bearer token-shopp"]
        {
            assert_eq!(who(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_role_may_do_all_that_those_before_it_may() {
        for (index, role) in Role::ALL.iter().enumerate() {
            let (mut parts, ()) = Request::builder().body(()).unwrap().into_parts();
            parts.extensions.insert(Principal { name: "x".into(), role: *role });
            for (other, least) in Role::ALL.iter().enumerate() {
                let kind = allowed(&parts, *least).map_err(|error| error.kind()).map(|_| ());
                assert_eq!(kind, if index >= other { Ok(()) } else { Err(Kind::Forbidden) }, "{role} {least}");
            }
        }
        let (parts, ()) = Request::builder().body(()).unwrap().into_parts();
        assert_eq!(allowed(&parts, Role::Reader).map_err(|error| error.kind()), Err(Kind::Unauthenticated));
    }
}
