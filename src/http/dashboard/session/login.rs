//! `/login`: a token of `API_TOKENS` becomes a session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use askama::Template;
use askama::filters::urlencode;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{SessionCookie, find};
use crate::acts::Principal;
use crate::acts::sign_in::{self, NewSession};
use crate::config::REST_PATHS;
use crate::http::dashboard::error::html;
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::{Dashboard, Layout};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    layout: Layout,
    /// Where to go then. Empty: to the first page.
    next: String,
    /// Why the last try failed.
    refused: Option<&'static str>,
}

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    next: String,
}

/// The path of the sign-in that leads to `page` then.
pub fn path(dashboard: &Dashboard, page: &str) -> String {
    let Ok(next) = urlencode(page);
    dashboard.site.url(&format!("/login?next={next}"))
}

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let next = asked.map(|Query(asked)| asked.next).unwrap_or_default();
    let next = Some(next).filter(|it| is_own(&dashboard, it)).unwrap_or_default();
    if find(&dashboard, &headers).await?.is_some() {
        return Ok(onward(&dashboard, &next).into_response());
    }
    Ok(html(&LoginPage { layout: dashboard.layout(None), next, refused: None })?.into_response())
}

pub async fn sign_in(
    State(dashboard): State<Arc<Dashboard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.only(&["token", "next"])?;
    let next = fields.text("next").filter(|it| is_own(&dashboard, it)).unwrap_or_default().to_owned();
    let (peer, now) = (peer.ip(), dashboard.shell.clock.now());
    if let Some(wait) = dashboard.attempts.blocked_for(peer, now) {
        return blocked(&dashboard, next, wait.num_seconds() + 1);
    }
    let token = fields.text("token").unwrap_or_default();
    match dashboard.keyring.sign_in(token) {
        Some(held) => enter(&dashboard, held, &next).await,
        None => refuse(&dashboard, peer, next).await,
    }
}

/// Begins a session for the holder of a token, and leads to `next`.
pub async fn enter(
    dashboard: &Dashboard,
    (token, principal): ([u8; 32], &Principal),
    next: &str,
) -> Result<Response, ApiError> {
    let cookie = SessionCookie::new(dashboard.shell.ids.secret());
    let new = NewSession { cookie_digest: cookie.digest(), token_binding: cookie.bind(&token) };
    sign_in::run(&dashboard.acts, principal, new).await?;
    Ok(([(header::SET_COOKIE, cookie.set())], onward(dashboard, next)).into_response())
}

/// Every wrong token gets the same answer.
async fn refuse(dashboard: &Dashboard, peer: IpAddr, next: String) -> Result<Response, ApiError> {
    let now = dashboard.shell.clock.now();
    dashboard.attempts.wrong(peer, now);
    sign_in::refuse(&dashboard.acts, peer).await?;
    if let Some(wait) = dashboard.attempts.blocked_for(peer, now) {
        return blocked(dashboard, next, wait.num_seconds() + 1);
    }
    let refused = Some("This token is not known. Check that it was copied whole.");
    let page = LoginPage { layout: dashboard.layout(None), next, refused };
    Ok((StatusCode::UNAUTHORIZED, html(&page)?).into_response())
}

fn blocked(dashboard: &Dashboard, next: String, seconds: i64) -> Result<Response, ApiError> {
    let refused = Some("Too many wrong tokens came from this address. No token is tried until the minute is over.");
    let page = LoginPage { layout: dashboard.layout(None), next, refused };
    let wait = [(header::RETRY_AFTER, seconds.to_string())];
    Ok((StatusCode::TOO_MANY_REQUESTS, wait, html(&page)?).into_response())
}

fn onward(dashboard: &Dashboard, next: &str) -> Redirect {
    if next.is_empty() { Redirect::to(&dashboard.site.url("/")) } else { Redirect::to(next) }
}

/// The first segments of paths below the prefix that lead to no page.
const NO_PAGES: [&str; 4] = ["login", "logout", "live", "assets"];

/// Whether a page of the dashboard is at this path: no other site, no path of REST, and not the sign-in itself.
fn is_own(dashboard: &Dashboard, next: &str) -> bool {
    let prefix = &dashboard.site.prefix;
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let below = next.strip_prefix(prefix.as_str()).filter(|it| it.starts_with('/') && !it.starts_with("//"));
    let page = below.map(|it| it.split(['?', '#']).next().unwrap_or_default());
    let is_page = |path: &str| {
        let first = path.split('/').nth(1).unwrap_or_default();
        !NO_PAGES.contains(&first) && (!prefix.is_empty() || !REST_PATHS.contains(&first))
    };
    plain && page.is_some_and(|it| is_page(it) && !it.contains("//") && !has_dots(it))
}

/// Whether a browser would go up the path: it reads `%2e` as a dot.
fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| [".", ".."].contains(&segment.to_ascii_lowercase().replace("%2e", ".").as_str()))
}
