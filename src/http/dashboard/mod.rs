//! The dashboard: server-rendered pages for people, beside REST on the internal listener.
//!
//! A page is a template in `templates/` and a small handler in `pages` that reads through `db` and acts through `acts`, as REST
//! does. Refusals are [`ApiError`]s as everywhere; `error` turns them into pages. No page answers on a
//! path of REST, REST never looks at the cookie, and pages never at a bearer token.

mod act;
mod assets;
mod confirmation;
mod error;
mod export;
mod form;
mod headers;
mod layout;
pub mod live;
mod multipart;
mod origin;
mod pages;
mod parts;
mod query;
mod session;
mod unread;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use self::layout::{Layout, Site};
use self::session::{Attempts, Link, SessionCookie, Visit};
use super::AppState;
use super::internal::auth::Keyring;
use super::problem::{ApiError, method_not_allowed, not_found};
use crate::config::{Mode, REST_PATHS};

/// The maximum size of a form, in bytes.
const MAX_FORM: usize = 64 * 1024;

/// The state of the pages' handlers.
pub struct Dashboard {
    app: AppState,
    keyring: Keyring,
    attempts: Attempts,
    link: Link,
    site: Arc<Site>,
}

impl Deref for Dashboard {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.app
    }
}

impl Dashboard {
    #[must_use]
    pub fn new(app: AppState, keyring: Keyring) -> Arc<Self> {
        let site = Arc::new(Site::new(&app.settings));
        let link = Link::new(app.settings.dashboard.sign_in_link.clone());
        Arc::new(Self { app, keyring, attempts: Attempts::default(), link, site })
    }

    /// Adds the pages to REST's routes.
    pub fn beside(self: &Arc<Self>, rest: Router) -> Router {
        if self.site.mode == Mode::Off {
            return rest;
        }
        let entrance =
            session::router(self.link.exists()).merge(live::router()).method_not_allowed_fallback(method_not_allowed);
        let pages = self.signed_in(pages::router()).merge(entrance).with_state(Arc::clone(self));
        let pages = self.at_prefix(self.guarded(pages).merge(assets::router()));
        let unknown = self.signed_in(Router::new().fallback(not_found)).with_state(Arc::clone(self));
        let unknown = Unknown { dashboard: Arc::clone(self), page: self.guarded(unknown) };
        rest.merge(pages).layer(from_fn_with_state(unknown, unknown_path))
    }

    /// Pages behind the sign-in.
    fn signed_in(self: &Arc<Self>, pages: Router<Arc<Self>>) -> Router<Arc<Self>> {
        pages
            .method_not_allowed_fallback(method_not_allowed)
            .layer(CatchPanicLayer::custom(|_| ApiError::internal("panicked").into_response()))
            .layer(from_fn_with_state(Arc::clone(self), session::required))
    }

    /// Adds the rules of every page: the headers, errors that are pages, and POSTs from the dashboard's own pages alone.
    fn guarded(self: &Arc<Self>, pages: Router) -> Router {
        pages
            .layer(DefaultBodyLimit::max(MAX_FORM))
            .layer(origin::layer(&self.site.origin))
            .layer(from_fn(origin::required))
            .layer(from_fn_with_state(Arc::clone(self), error::in_html))
            .layer(from_fn(headers::add))
            .layer(from_fn(unread::read_to_the_end))
    }

    fn at_prefix(&self, pages: Router) -> Router {
        let prefix = &self.site.prefix;
        if prefix.is_empty() {
            return pages;
        }
        let first = Redirect::permanent(prefix);
        Router::new().nest(prefix, pages).route(&format!("{prefix}/"), get(first))
    }

    /// The frame around a page's content.
    fn layout(&self, visit: Option<&Visit>) -> Layout {
        Layout::new(&self.site, visit)
    }

    /// Whether an unknown path is answered by a page. Without a prefix that is so for browsers; programs get REST's answer.
    fn claims(&self, path: &str, headers: &HeaderMap) -> bool {
        let Some(below) = path.strip_prefix(&self.site.prefix) else { return false };
        if !self.site.prefix.is_empty() {
            return below.is_empty() || below.starts_with('/');
        }
        let first = below.split('/').nth(1).unwrap_or_default();
        let accepts = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let is_browser = accepts.contains("text/html") || SessionCookie::read(headers).is_some();
        is_browser && !headers.contains_key(header::AUTHORIZATION) && !REST_PATHS.contains(&first)
    }
}

#[derive(Clone)]
struct Unknown {
    dashboard: Arc<Dashboard>,
    page: Router,
}

/// The layer that answers unknown paths of the dashboard with a page.
async fn unknown_path(State(unknown): State<Unknown>, request: Request, next: Next) -> Response {
    let is_known = request.extensions().get::<MatchedPath>().is_some();
    if is_known || !unknown.dashboard.claims(request.uri().path(), request.headers()) {
        return next.run(request).await;
    }
    match unknown.page.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
