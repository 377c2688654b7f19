//! Sign-in and sessions.
//!
//! A person signs in with a token of `API_TOKENS`. The session is looked up with each request, so that its end holds on all
//! replicas at once, and its role is that of the token now. A replica that does not have the token ends the session.

mod attempts;
mod cookie;
mod link;
mod login;
mod logout;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::attempts::Attempts;
pub use self::cookie::SessionCookie;
pub use self::link::Link;
use super::Dashboard;
use super::live::Watch;
use crate::acts::{Admin, Forbidden, Operator, Principal};
use crate::config::Mode;
use crate::db::sessions::{self, Oldest};
use crate::http::problem::{ApiError, Kind};

/// The header of requests that the script makes by itself.
const LIVE_UPDATE: &str = "x-live";

/// Why nothing is done in the mode `read-only`.
const READ_ONLY: &str = "the dashboard is read-only here";

/// `has_link`: a link signs in, as in the demo.
pub fn router(has_link: bool) -> Router<Arc<Dashboard>> {
    let entrance =
        Router::new().route("/login", get(login::form).post(login::sign_in)).route("/logout", post(logout::sign_out));
    if has_link { entrance.route("/login/{secret}", get(link::follow)) } else { entrance }
}

/// The session of a request.
#[derive(Clone)]
pub struct Visit {
    pub principal: Principal,
    pub session: Uuid,
    mode: Mode,
    /// The watched content of its page, and the mark of that before the page is read.
    pub watch: Watch,
    pub mark: String,
}

impl Visit {
    /// The proof that the person may act as an operator.
    ///
    /// # Errors
    /// 403 when the role is too low, or nothing is done here.
    pub fn acting(&self) -> Result<Operator, ApiError> {
        self.as_role()
    }

    /// The proof that the person may act as an admin.
    ///
    /// # Errors
    /// As [`Self::acting`].
    pub fn acting_as_admin(&self) -> Result<Admin, ApiError> {
        self.as_role()
    }

    /// The same on its way to a page.
    fn to(self, path: &str, dashboard: &Dashboard) -> Self {
        let watch = Watch::of_page(path);
        Self { watch, mark: dashboard.live.mark(watch), ..self }
    }

    fn as_role<Proof: TryFrom<Principal, Error = Forbidden>>(&self) -> Result<Proof, ApiError> {
        if self.mode == Mode::ReadOnly {
            return Err(ApiError::because(Kind::Forbidden, READ_ONLY));
        }
        Proof::try_from(self.principal.clone()).map_err(|Forbidden| ApiError::new(Kind::Forbidden))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::internal("a page without its session"))
    }
}

/// The layer of pages behind the sign-in. It puts the principal into the request, as the layer of bearer tokens does for REST.
pub async fn required(State(dashboard): State<Arc<Dashboard>>, mut request: Request, next: Next) -> Response {
    let is_live_update = request.headers().contains_key(LIVE_UPDATE);
    let visit = match session(&dashboard, request.headers(), !is_live_update).await {
        Ok(Some(visit)) => visit.to(request.uri().path(), &dashboard),
        Ok(None) => return to_login(&dashboard, &request),
        Err(error) => return error.into_response(),
    };
    tracing::Span::current().record("token.name", visit.principal.name());
    request.extensions_mut().insert(visit.principal.clone());
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    // For the page of an error.
    response.extensions_mut().insert(visit);
    response
}

/// The session of a request's cookie, if it is live and its token is known here. The request makes it live longer.
async fn find(dashboard: &Dashboard, headers: &HeaderMap) -> Result<Option<Visit>, ApiError> {
    session(dashboard, headers, true).await
}

/// The same for live updates, which do not make it live longer.
pub async fn look(dashboard: &Dashboard, headers: &HeaderMap) -> Result<Option<Visit>, ApiError> {
    session(dashboard, headers, false).await
}

async fn session(dashboard: &Dashboard, headers: &HeaderMap, prolongs: bool) -> Result<Option<Visit>, ApiError> {
    let Some(cookie) = SessionCookie::read(headers) else { return Ok(None) };
    let (now, digest) = (dashboard.shell.clock.now(), cookie.digest());
    let settings = &dashboard.settings.dashboard;
    let oldest = Oldest::at(now, settings.session_idle, settings.session_max);
    let work = async move |connection: &mut PgConnection| {
        if prolongs {
            return sessions::visit(connection, &digest, oldest, now).await;
        }
        sessions::look(connection, &digest, oldest).await
    };
    let Some(session) = dashboard.read(work).await? else { return Ok(None) };
    let principal = dashboard.keyring.find_bound(|token| cookie.bind(token), &session.token_binding);
    let Some(principal) = principal.cloned() else {
        let work =
            async move |connection: &mut PgConnection| sessions::end(connection, session.id, &session.who, now).await;
        dashboard.read(work).await?;
        return Ok(None);
    };
    let (session, mode) = (session.id, settings.mode);
    Ok(Some(Visit { principal, session, mode, watch: Watch::All, mark: String::new() }))
}

/// Leads to the sign-in and from there to the page that was asked for. A form that was sent is not done: its page is shown again.
fn to_login(dashboard: &Dashboard, request: &Request) -> Response {
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |OriginalUri(uri)| uri);
    let is_form = *request.method() == Method::POST;
    let page = if is_form { uri.path() } else { uri.path_and_query().map_or("/", |it| it.as_str()) };
    Redirect::to(&login::path(dashboard, page)).into_response()
}
