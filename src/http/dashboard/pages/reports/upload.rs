//! `/reports/upload`: receives a report file. The file streams, within the bounds of REST's upload.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::StreamExt;
use futures::stream;
use multer::Field;
use uuid::Uuid;

use super::SECTION;
use crate::acts::upload_report::{self, UploadRequest};
use crate::acts::{ActError, Operator};
use crate::http::dashboard::act::{Acting, done, made_before, token};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal};
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::multipart::FileForm;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::page::Params;
use crate::http::internal::reports::upload::{Asked, receive_as};
use crate::http::problem::{ApiError, FieldError, Kind};
use crate::reconciliation::ingest::Received;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(_): Acting,
    visit: Visit,
) -> Result<Response, ApiError> {
    confirmation(&dashboard, &visit).answer()
}

pub async fn upload(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut form = FileForm::read(&headers, body).await?;
    let mut fields = Fields::new(form.pairs.clone())?;
    let token = token(&mut fields)?;
    let file = form.file.take();
    if let Some(id) = made_before(&dashboard, token).await? {
        return Ok(uploaded(&dashboard, id));
    }
    let name = file.as_ref().and_then(Field::file_name).unwrap_or_default();
    let received = match Box::pin(asked(&dashboard, &form.pairs, name)).await {
        Ok(asked) => Box::pin(received(&dashboard, asked, file)).await,
        Err(refusal) => Err(refusal),
    };
    let (request, received) = match received {
        Ok(received) => received,
        Err(refusal) => {
            let page = Confirmation { token, ..confirmation(&dashboard, &visit) };
            return page.again(&fields, of_the_file(refusal));
        }
    };
    form.end().await?;
    Ok(uploaded(&dashboard, stored(&dashboard, &operator, token, request, received).await?))
}

async fn stored(
    dashboard: &Dashboard,
    operator: &Operator,
    token: Uuid,
    request: UploadRequest,
    received: Arc<Received>,
) -> Result<Uuid, ApiError> {
    let acts = dashboard.acts.of_form(token);
    match upload_report::run(&acts, operator, request, received).await {
        Ok((id, _)) => Ok(id),
        Err(ActError::Repeated) => made_before(dashboard, token).await?.ok_or(ApiError::new(Kind::NotFound)),
        Err(error) => Err(error.into()),
    }
}

fn uploaded(dashboard: &Dashboard, id: Uuid) -> Response {
    done(dashboard, &format!("/reports/{id}"), "upload_report")
}

/// Reads the request by REST's parameters. The file's name is what the browser says.
async fn asked(dashboard: &Dashboard, pairs: &[(String, String)], file_name: &str) -> Result<Asked, ApiError> {
    let others = pairs.iter().filter(|(name, _)| name != "form").cloned();
    let named = [("file_name".to_owned(), file_name.to_owned())];
    let params = Params::new(others.chain(named).collect())?.given();
    if params.text("reason").is_empty() {
        return Err(ApiError::field("/reason", "is required"));
    }
    let asked = Asked::read(&params)?;
    asked.check(dashboard).await?;
    Ok(asked)
}

async fn received(
    dashboard: &Dashboard,
    asked: Asked,
    file: Option<Field<'static>>,
) -> Result<(UploadRequest, Arc<Received>), ApiError> {
    let required = || ApiError::field("/file", "is required");
    let mut file = file.ok_or_else(required)?;
    let first = file.next().await.ok_or_else(required)?;
    let is_gzip = first.as_ref().is_ok_and(|it| it.starts_with(&GZIP));
    receive_as(dashboard, asked, is_gzip, stream::iter([first]).chain(file)).await
}

/// Moves REST's errors about its body to the field of the file.
fn of_the_file(refusal: ApiError) -> ApiError {
    if refusal.kind() != Kind::ValidationFailed || refusal.errors().is_empty() {
        return refusal;
    }
    let place = |error: &FieldError| match error.pointer.as_str() {
        "" | "/file_name" => FieldError { pointer: "/file".to_owned(), detail: error.detail.clone() },
        _ => error.clone(),
    };
    let (of_file, others): (Vec<_>, Vec<_>) = refusal.errors().iter().map(place).partition(|it| it.pointer == "/file");
    let details: Vec<String> = of_file.into_iter().map(|it| it.detail).collect();
    let joined = (!details.is_empty()).then(|| FieldError { pointer: "/file".into(), detail: details.join("; ") });
    ApiError::fields(Kind::ValidationFailed, others.into_iter().chain(joined).collect())
}

fn confirmation(dashboard: &Dashboard, visit: &Visit) -> Confirmation {
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let provider = dashboard.outside.providers.names().min().unwrap_or_default();
    Confirmation {
        act: "upload_report",
        title: "Upload a report".to_owned(),
        action: layout.url("/reports/upload"),
        rehearsal: rehearsal(),
        inputs: vec![
            Input::new("dry_run", "Dry run", Control::Choice(&["false", "true"]))
                .help("true: rehearse with the file, without any effect; false: let it have its effects."),
            Input::new("provider", "Provider", Control::Line).value(provider),
            Input::new("kind", "Kind", Control::Choice(&["register", "charges", "bank"])),
            Input::new("format", "Format", Control::Line)
                .optional()
                .help("A format or a profile, where the file does not show it."),
            Input::new("supersedes", "Sent in place of", Control::Line)
                .optional()
                .help("The id of an earlier report of this provider and kind."),
            Input::reason(),
            Input::new("file", "File", Control::File).help("As it came, or as gzip."),
        ],
        hidden: Vec::new(),
        confirm: None,
        button: "Upload",
        token: dashboard.shell.ids.next(),
        back: layout.url("/reports"),
        layout,
    }
}

fn rehearsal() -> Vec<Rehearsal> {
    let of =
        |of, lines: &[&str]| Rehearsal { of, lines: lines.iter().map(|it| (*it).to_owned()).collect(), refused: None };
    let dry = [
        "stores the file as it came",
        "reads, compares and lists each of its rows, with its class",
        "applies and books nothing, and is no copy of anything",
    ];
    let real = [
        "stores the file as it came, once: the same bytes again are the same report",
        "turns answers that we missed into facts, and books charges",
        "opens cases for what a person must decide",
        "holds a file that differs too much, until it is released or discarded",
    ];
    vec![of("Dry run: true", &dry), of("Dry run: false", &real)]
}
