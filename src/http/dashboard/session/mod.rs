//! Sign-in and sessions.
//!
//! A person signs in with a token of `API_TOKENS`. The session is looked up with each request, so that its end holds on all
//! replicas at once, and its role is that of the token now. A replica that does not have the token ends the session.

mod attempts;
mod cookie;
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
use super::Dashboard;
use crate::acts::{Operator, Principal};
use crate::config::Mode;
use crate::db::sessions::{self, Oldest};
use crate::http::problem::{ApiError, Kind};

/// Why nothing is done in the mode `read-only`.
const READ_ONLY: &str = "the dashboard is read-only here";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/login", get(login::form).post(login::sign_in)).route("/logout", post(logout::sign_out))
}

/// The session of a request.
#[derive(Clone)]
pub struct Visit {
    pub principal: Principal,
    pub session: Uuid,
    mode: Mode,
}

impl Visit {
    /// The proof that the person may act as an operator.
    ///
    /// # Errors
    /// 403 when the role is too low, or nothing is done here.
    pub fn acting(&self) -> Result<Operator, ApiError> {
        if self.mode == Mode::ReadOnly {
            return Err(ApiError::because(Kind::Forbidden, READ_ONLY));
        }
        Operator::try_from(self.principal.clone()).map_err(|_| ApiError::new(Kind::Forbidden))
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
    let visit = match find(&dashboard, request.headers()).await {
        Ok(Some(visit)) => visit,
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

/// The session of a request's cookie, if it is live and its token is known here.
async fn find(dashboard: &Dashboard, headers: &HeaderMap) -> Result<Option<Visit>, ApiError> {
    let Some(cookie) = SessionCookie::read(headers) else { return Ok(None) };
    let (now, digest) = (dashboard.shell.clock.now(), cookie.digest());
    let settings = &dashboard.settings.dashboard;
    let oldest = Oldest::at(now, settings.session_idle, settings.session_max);
    let work = async move |connection: &mut PgConnection| sessions::visit(connection, &digest, oldest, now).await;
    let Some(session) = dashboard.read(work).await? else { return Ok(None) };
    let principal = dashboard.keyring.find_bound(|token| cookie.bind(token), &session.token_binding);
    let Some(principal) = principal.cloned() else {
        let work =
            async move |connection: &mut PgConnection| sessions::end(connection, session.id, &session.who, now).await;
        dashboard.read(work).await?;
        return Ok(None);
    };
    Ok(Some(Visit { principal, session: session.id, mode: settings.mode }))
}

/// Leads to the sign-in and from there to the page that was asked for. A form that was sent is not done: its page is shown again.
fn to_login(dashboard: &Dashboard, request: &Request) -> Response {
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |OriginalUri(uri)| uri);
    let is_form = *request.method() == Method::POST;
    let page = if is_form { uri.path() } else { uri.path_and_query().map_or("/", |it| it.as_str()) };
    Redirect::to(&login::path(dashboard, page)).into_response()
}
