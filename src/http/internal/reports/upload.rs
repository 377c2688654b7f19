//! `POST /v1/reports`: the body is the file.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::{Stream, StreamExt};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Report, ReportKind, answer};
use crate::acts::Operator;
use crate::acts::reason::{ReasonText, reason};
use crate::acts::upload_report::{self, UploadRequest};
use crate::config::REPORT_FORMATS;
use crate::db::reports;
use crate::http::AppState;
use crate::http::body;
use crate::http::internal::forms;
use crate::http::internal::page::Params;
use crate::http::internal::path::uuid;
use crate::http::problem::{ApiError, FieldError, Kind};
use crate::reconciliation::ingest::{Bounds, Look, ReceiveError, Received, WAITING, receive};
use crate::report_files::profile::Profiles;
use crate::report_files::row;
use crate::report_files::{Expected, HeaderError, PULL, sniff};

/// A sender that sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const TOO_LARGE: &str = "the file is larger than REPORT_MAX_BYTES, or unpacks to more than 200 times its size";

/// Receives a report.
#[utoipa::path(
    post,
    path = "/v1/reports",
    operation_id = "upload_report",
    tag = "Reconciliation",
    params(
        ("provider" = forms::Name, Query, description = "The provider whose report it is"),
        ("kind" = ReportKind, Query, description = "What it is compared with"),
        ("format" = Option<forms::Name>, Query, description = "A bank's own (its name), `camt` or a profile, where the file does not show its format"),
        ("file_name" = Option<forms::Name>, Query, description = "Its name, for people"),
        ("dry_run" = Option<bool>, Query, description = "Read and list it, without any effect"),
        ("supersedes" = Option<Uuid>, Query, description = "The report of the same provider and kind that it is sent in place of"),
        ("reason" = Option<ReasonText>, Query, description = "The reason, for the record"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The file; `Content-Encoding: gzip` is accepted"),
    responses(
        (status = 200, description = "The same bytes were sent before: the first report", body = Report),
        (status = 202, description = "Stored; the worker reads it", body = Report),
        (status = 408, description = "`request-timeout`: the sender fell silent"),
        (status = 413, description = "`payload-too-large`: over `REPORT_MAX_BYTES`, or compressed more than text is"),
        (status = 415, description = "`unsupported-media-type`: a `Content-Encoding` other than gzip"),
    ),
)]
pub async fn upload(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    headers: HeaderMap,
    params: Params,
    body: Body,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&params)?;
    asked.check(&state).await?;
    let is_gzip = is_gzip(&headers)?;
    let (request, received) = receive_as(&state, asked, is_gzip, body.into_data_stream()).await?;
    let (id, is_new) = upload_report::run(&state.acts, &operator, request, received).await?;
    let mut response = answer(&state, id, if is_new { StatusCode::ACCEPTED } else { StatusCode::OK }).await?;
    if !is_new {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Receives the file of an upload that was checked, and sees what it is.
///
/// # Errors
/// Those of the route, about the file.
pub async fn receive_as<E: Error + 'static>(
    state: &AppState,
    asked: Asked,
    is_gzip: bool,
    file: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<(UploadRequest, Arc<Received>), ApiError> {
    let bounds = Bounds { is_gzip, max_bytes: state.settings.reconciliation.report_max_bytes };
    let profiles = Profiles::of(&state.settings.reconciliation.report_profiles).unwrap_or_default();
    let look = {
        let (asked, profiles) = (asked.clone(), profiles.clone());
        Box::new(move |head: &[u8]| sniff(head, &asked.expected(&profiles)).map(|_| ()))
    };
    let received = received(file, bounds, look).await?;
    let (format, header) = sniff(&received.head, &asked.expected(&profiles)).map_err(|error| wrong(&error))?;
    let request = UploadRequest {
        provider: asked.provider,
        kind: asked.kind,
        profile: profiles.get(&format),
        format,
        header,
        file_name: asked.file_name,
        dry_run: asked.dry_run,
        supersedes: asked.supersedes,
        reason: asked.reason,
    };
    Ok((request, Arc::new(received)))
}

/// A report that another one is sent in place of: of the same provider and kind, and not without effect.
async fn may_be_superseded(state: &AppState, report: Uuid, by: &Asked) -> Result<(), ApiError> {
    let wrong = |detail: &str| ApiError::field("/supersedes", detail);
    let found = state.read(async move |connection: &mut PgConnection| reports::get(connection, report).await).await?;
    let found = found.ok_or_else(|| wrong("must be the id of a report"))?;
    if (found.provider.as_str(), found.kind.as_str()) != (by.provider.as_str(), by.kind.as_str()) {
        return Err(wrong("must be a report of the same provider and kind"));
    }
    if found.dry_run {
        return Err(wrong("must not be a dry run, which has no effect"));
    }
    Ok(())
}

/// The parameters of an upload.
#[derive(Clone, Debug)]
pub struct Asked {
    provider: String,
    kind: row::Kind,
    format: Option<String>,
    file_name: Option<String>,
    dry_run: bool,
    supersedes: Option<Uuid>,
    reason: String,
}

impl Asked {
    /// # Errors
    /// Those of the route, about its parameters.
    pub fn read(params: &Params) -> Result<Self, ApiError> {
        params.only(&["provider", "kind", "format", "file_name", "dry_run", "supersedes", "reason"])?;
        let required = |pointer: &str| ApiError::field(pointer, "is required");
        let format = params.read("format", forms::name)?;
        if format.as_deref() == Some(PULL) {
            return Err(ApiError::field("/format", "must be that of a file: the service makes pulls itself"));
        }
        Ok(Self {
            provider: params.read("provider", forms::name)?.ok_or_else(|| required("/provider"))?,
            kind: params.read("kind", forms::word)?.ok_or_else(|| required("/kind"))?,
            format,
            file_name: params.read("file_name", forms::name)?,
            dry_run: params.read("dry_run", boolean)?.unwrap_or_default(),
            supersedes: params.read("supersedes", |text| uuid(text).ok_or("must be an id".to_owned()))?,
            reason: params.read("reason", reason)?.unwrap_or_default(),
        })
    }

    fn expected<'a>(&'a self, profiles: &'a Profiles) -> Expected<'a> {
        Expected {
            kind: Some(self.kind),
            provider: Some(&self.provider),
            format: self.format.as_deref(),
            own: REPORT_FORMATS,
            profiles: Some(profiles),
        }
    }

    /// Refuses what this service does not take, before the file is read.
    ///
    /// # Errors
    /// 422.
    pub async fn check(&self, state: &AppState) -> Result<(), ApiError> {
        if state.outside.providers.get(&self.provider).is_none() {
            return Err(ApiError::field("/provider", "must be a configured provider"));
        }
        match self.supersedes {
            Some(report) => may_be_superseded(state, report, self).await,
            None => Ok(()),
        }
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(false) };
    match value.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        _ => Err(ApiError::because(Kind::UnsupportedMediaType, "the Content-Encoding must be gzip or absent")),
    }
}

/// Sends the file to a thread that writes it to a temporary one.
async fn received<E: Error + 'static>(
    file: impl Stream<Item = Result<Bytes, E>> + Unpin,
    bounds: Bounds,
    look: Look,
) -> Result<Received, ApiError> {
    let (parts, queue) = mpsc::channel(WAITING);
    let writing = tokio::task::spawn_blocking(move || receive(queue, bounds, look));
    let sent = send(file, parts).await;
    let received = writing.await.map_err(|_| ApiError::internal("receiving a report panicked"))?;
    sent?;
    received.map_err(|error| match error {
        ReceiveError::TooLarge(_) => ApiError::because(Kind::PayloadTooLarge, TOO_LARGE),
        ReceiveError::NotGzip => ApiError::field("", error.to_string()),
        ReceiveError::Header(error) => wrong(&error),
        ReceiveError::BrokeOff => ApiError::because(Kind::ValidationFailed, "the upload broke off"),
        ReceiveError::Disk(_) => ApiError::unavailable(error.to_string()),
    })
}

/// Ends early, without an error, when the writer has refused what it was sent.
async fn send<E: Error + 'static>(
    mut file: impl Stream<Item = Result<Bytes, E>> + Unpin,
    parts: mpsc::Sender<Vec<u8>>,
) -> Result<(), ApiError> {
    loop {
        let next = timeout(SILENCE, file.next()).await.map_err(|_| ApiError::new(Kind::RequestTimeout))?;
        let part = match next {
            Some(Ok(part)) if part.is_empty() => continue,
            Some(Ok(part)) => part.to_vec(),
            Some(Err(error)) if body::is_too_slow(&error) => return Err(ApiError::new(Kind::RequestTimeout)),
            Some(Err(_)) => return Err(ApiError::because(Kind::ValidationFailed, "the upload broke off")),
            None => Vec::new(),
        };
        let is_end = part.is_empty();
        if parts.send(part).await.is_err() || is_end {
            // A sender that is still busy would see its connection cut instead of the refusal.
            body::drain(file).await;
            return Ok(());
        }
    }
}

/// The error about a wrong header: the columns found, and those expected.
fn wrong(error: &HeaderError) -> ApiError {
    let mut errors =
        vec![FieldError { pointer: String::new(), detail: format!("line {}: {}", error.line, error.detail) }];
    let list = |what: &str, columns: &[String]| FieldError {
        pointer: String::new(),
        detail: format!("{what}: {}", columns.join(",")),
    };
    if !error.expected.is_empty() {
        errors.push(list("columns found", &error.found));
        errors.push(list("columns expected", &error.expected));
    }
    ApiError::fields(Kind::ValidationFailed, errors)
}
