//! `/providers/{provider}/backfill`: reads a provider's list again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::PAGE;
use crate::acts::Operator;
use crate::acts::backfill::{self, BackfillRequest, Preview};
use crate::http::dashboard::act::{ActForm, Acting, done, once};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::path::Names;
use crate::http::internal::providers::backfill::Wanted;
use crate::http::problem::{ApiError, Kind};

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Names(provider): Names<String>,
) -> Result<Response, ApiError> {
    let provider = named(&dashboard, &provider)?;
    confirmation(&dashboard, &operator, &visit, provider).await?.answer()
}

pub async fn backfill(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Names(provider): Names<String>,
    form: ActForm<Wanted>,
) -> Result<Response, ApiError> {
    let provider = named(&dashboard, &provider)?;
    let Wanted { reason, since } = match form.body {
        Ok(body) => body,
        Err(refusal) => {
            let page = confirmation(&dashboard, &operator, &visit, provider).await?;
            return Confirmation { token: form.token, ..page }.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let acting =
        async { backfill::run(&acts, &operator, BackfillRequest { provider, reason, since }).await.map(|_| ()) };
    once(&dashboard, form.token, Box::pin(acting)).await?;
    Ok(done(&dashboard, PAGE, "backfill"))
}

fn named(dashboard: &Dashboard, name: &str) -> Result<&'static str, ApiError> {
    dashboard.outside.providers.get(name).map(|it| it.name()).ok_or(ApiError::new(Kind::NotFound))
}

async fn confirmation(
    dashboard: &Dashboard,
    operator: &Operator,
    visit: &Visit,
    provider: &'static str,
) -> Result<Confirmation, ApiError> {
    let layout = dashboard.layout(Some(visit)).at(PAGE);
    let request = BackfillRequest { provider, reason: String::new(), since: None };
    let rehearsed = backfill::rehearse(&dashboard.acts, operator, request).await;
    Ok(Confirmation {
        act: "backfill",
        title: format!("Read the list of {provider} again"),
        action: layout.url(&format!("{PAGE}/{provider}/backfill")),
        back: layout.url(PAGE),
        rehearsal: vec![Rehearsal::of("", rehearsed, |preview| lines(&preview))?],
        inputs: vec![
            Input::reason(),
            Input::new("since", "Changes since", Control::Line)
                .optional()
                .help("As 2026-01-31T12:00:00Z. Without it the list is read from the time above."),
        ],
        hidden: Vec::new(),
        confirm: None,
        button: "Read it",
        token: dashboard.shell.ids.next(),
        layout,
    })
}

fn lines(Preview { since, served_by }: &Preview) -> Vec<String> {
    let since = since.format("%Y-%m-%d %H:%M:%S UTC");
    let mut lines = vec![
        format!("reads the list page by page, with all changes since {since}, or since the time that you type below"),
        "each item enters the inbox like a webhook; a duplicate changes nothing".to_owned(),
    ];
    lines.extend(served_by.map(|_| {
        "a pending backfill goes back as far and serves this request, unless you type an earlier time".to_owned()
    }));
    lines
}
