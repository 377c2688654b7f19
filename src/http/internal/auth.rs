//! Bearer tokens: the principal of a request, and the proofs of its role that acts ask for.
//!
//! A guess is compared with every token, by digests and in constant time: neither the time nor the length tells how close it was.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::acts::{Admin, Caller, Forbidden, Operator, Principal};
use crate::config::Token;
use crate::http::problem::{ApiError, Kind};

#[derive(Clone)]
pub struct Keyring(Arc<[([u8; 32], Principal)]>);

impl Keyring {
    #[must_use]
    pub fn new(tokens: &[Token]) -> Self {
        let entry = |token: &Token| (digest(token.secret.expose_secret()), token.into());
        Self(tokens.iter().map(entry).collect())
    }

    /// The holder of a token, and the token's digest.
    #[must_use]
    pub fn sign_in(&self, token: &str) -> Option<([u8; 32], &Principal)> {
        self.find(token).map(|principal| (digest(token), principal))
    }

    /// The holder of the token with this digest.
    #[must_use]
    pub fn find_bound(&self, bind: impl Fn(&[u8; 32]) -> [u8; 32], binding: &[u8]) -> Option<&Principal> {
        let is_it = |token: &[u8; 32]| bool::from(bind(token).ct_eq(binding));
        self.0.iter().find(|(token, _)| is_it(token)).map(|(_, principal)| principal)
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

/// The layer. No request passes without a token, whether or not its path exists.
pub async fn authenticate(State(keyring): State<Keyring>, mut request: Request, next: Next) -> Response {
    let Some(principal) = bearer(request.headers()).and_then(|token| keyring.find(token)).cloned() else {
        return ApiError::new(Kind::Unauthenticated).into_response();
    };
    tracing::Span::current().record("token.name", principal.name());
    request.extensions_mut().insert(principal);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The proof of a role, from the principal of the request. Readers need none: every token has at least that role.
fn proven<Proof: TryFrom<Principal, Error = Forbidden>>(parts: &Parts) -> Result<Proof, ApiError> {
    let principal: &Principal = parts.extensions.get().ok_or(ApiError::new(Kind::Unauthenticated))?;
    Proof::try_from(principal.clone()).map_err(|Forbidden| ApiError::new(Kind::Forbidden))
}

/// Whether the principal may see whole IBANs: operators decide about them, readers see them masked.
#[derive(Clone, Copy, Debug)]
pub struct SeesWhole(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for SeesWhole {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(proven::<Operator>(parts).is_ok()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        proven(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        proven(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        proven(parts)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::config::Role;

    fn keyring() -> Keyring {
        let token = |name: &str, secret: &str, role| Token { name: name.into(), secret: secret.into(), role };
        Keyring::new(&[token("shop", "token-shop", Role::Caller), token("desk", "token-desk", Role::Operator)])
    }

    #[test]
    fn only_the_whole_token_after_the_bearer_scheme_is_one() {
        let who = |header: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(header).unwrap())]);
            bearer(&headers).and_then(|token| keyring().find(token).map(|it| it.name().to_owned()))
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
    fn a_role_is_proven_by_a_principal_that_has_it() {
        let mut parts = Request::builder().body(()).unwrap().into_parts().0;
        let refused = |parts: &Parts| proven::<Operator>(parts).map(drop).map_err(|error| error.kind());
        assert_eq!(refused(&parts), Err(Kind::Unauthenticated));
        for (role, proof) in [(Role::Caller, Err(Kind::Forbidden)), (Role::Operator, Ok(()))] {
            let token = Token { name: "x".into(), secret: "secret".into(), role };
            parts.extensions.insert(Principal::from(&token));
            assert_eq!(refused(&parts), proof);
        }
    }
}
