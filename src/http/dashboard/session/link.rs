//! `/login/{secret}`: the link with which the demo signs a person in, one time and on this machine alone.
//!
//! No setting makes such a link, so in a service that is served this path does not exist.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Redirect, Response};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::login::enter;
use crate::config::SignInLink;
use crate::http::dashboard::Dashboard;
use crate::http::internal::path::Names;
use crate::http::problem::{ApiError, Kind};

/// The link until it is used.
pub struct Link(Mutex<Option<SignInLink>>);

impl Link {
    #[must_use]
    pub fn new(link: Option<SignInLink>) -> Self {
        Self(Mutex::new(link))
    }

    /// Whether there is one that was not used.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The token that the link stands for, if this is its secret; from then on it is used.
    fn take(&self, secret: &str) -> Option<SignInLink> {
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = link.as_ref()?.secret.expose_secret();
        if bool::from(held.as_bytes().ct_eq(secret.as_bytes())) { link.take() } else { None }
    }
}

pub async fn follow(
    State(dashboard): State<Arc<Dashboard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Names(secret): Names<String>,
) -> Result<Response, ApiError> {
    if !peer.ip().is_loopback() {
        return Err(ApiError::new(Kind::NotFound));
    }
    let Some(link) = dashboard.link.take(&secret) else {
        return Ok(Redirect::to(&dashboard.site.url("/login")).into_response());
    };
    let held = dashboard.keyring.sign_in(link.token.expose_secret()).ok_or(ApiError::new(Kind::NotFound))?;
    enter(&dashboard, held, "").await
}
