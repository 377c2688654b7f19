//! `/openings/{id}/resolve`: ends an opening. With an account, the last characters of the IBAN are typed a second time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use uuid::Uuid;

use super::answer::{Asked, page_of};
use super::rehearsal::lines;
use super::{SECTION, read};
use crate::acts::Operator;
use crate::acts::resolve::{self, ResolveRequest};
use crate::domain::{Opening, OpeningId, Resolution, StateName};
use crate::http::dashboard::act::{ActForm, Acting, once, seen_version};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal, confirmed};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::openings::resolve::Decision;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

/// Characters of an IBAN that are typed a second time.
const TYPED: usize = 4;

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let id = OpeningId(id);
    let opening = read::opening(&dashboard, id).await?;
    let page = Page { dashboard: &dashboard, visit: &visit, operator: &operator, id, version: opening.version };
    let token = dashboard.shell.ids.next();
    page.confirmation(token, page.rehearsals(&opening).await?).answer()
}

pub async fn resolve(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Decision>,
) -> Result<Response, ApiError> {
    let id = OpeningId(id);
    let version = form.fields.number("expected_version");
    let request = form.body.map(ResolveRequest::from);
    let seen = seen_version(request.as_ref().map_or(version, |it| it.expected_version))?;
    let page = Page { dashboard: &dashboard, visit: &visit, operator: &operator, id, version: seen };
    let checked = request.and_then(|request| {
        typed_again(&request, &form.confirm)?;
        Ok(request)
    });
    let request = match checked {
        Ok(request) => request,
        Err(refusal) => {
            let rehearsals = page.rehearsals(&read::opening(&dashboard, id).await?).await?;
            return page.confirmation(form.token, rehearsals).again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let result = once(&dashboard, form.token, Box::pin(resolve::run(&acts, &operator, id, request))).await;
    Asked { dashboard: &dashboard, visit: &visit, id, seen }.answer("resolve", result).await
}

fn typed_again(request: &ResolveRequest, typed: &str) -> Result<(), ApiError> {
    let Resolution::Completed { iban, .. } = &request.resolution else { return Ok(()) };
    let last = iban.get(iban.len().saturating_sub(TYPED)..).unwrap_or_default();
    confirmed(typed, last, "must be the last four characters of the IBAN above")
}

/// The rehearsal of an end with an account, whichever account is typed.
fn with_account(opening: &Opening) -> Rehearsal {
    let completed = Resolution::Completed { iban: String::new(), bic: String::new(), provider_reference: None };
    // There the tracking id is typed too.
    let lacks_tracking_id = opening.state_name() == StateName::RequestingAccount;
    let refused = completed.refused_by(&opening.state).filter(|_| !lacks_tracking_id);
    let mut lines = vec![
        "saves the account that you type below, and tells subscribers that it is open",
        "sends for the card",
        "opens a case instead, if another opening holds the account or the tracking id",
    ];
    lines.extend(lacks_tracking_id.then_some("needs the tracking id below: none is known yet"));
    let lines = if refused.is_some() { Vec::new() } else { lines.into_iter().map(str::to_owned).collect() };
    Rehearsal { of: "completed", lines, refused: refused.map(str::to_owned) }
}

struct Page<'a> {
    dashboard: &'a Arc<Dashboard>,
    visit: &'a Visit,
    operator: &'a Operator,
    id: OpeningId,
    version: i64,
}

impl Page<'_> {
    /// The rehearsal of each end. An end with an account is rehearsed in words: it depends on the account.
    async fn rehearsals(&self, opening: &Opening) -> Result<Vec<Rehearsal>, ApiError> {
        let mut rehearsals = Vec::new();
        for (of, resolution) in [("rejected", Resolution::Rejected), ("failed", Resolution::Failed)] {
            let request =
                ResolveRequest { resolution, reason: String::new(), evidence: String::new(), expected_version: None };
            let rehearsed = resolve::rehearse(&self.dashboard.acts, self.operator, self.id, request).await;
            rehearsals.push(Rehearsal::of(of, rehearsed, |decision| lines(&decision))?);
        }
        rehearsals.push(with_account(opening));
        Ok(rehearsals)
    }

    fn confirmation(&self, token: Uuid, rehearsal: Vec<Rehearsal>) -> Confirmation {
        let layout = self.dashboard.layout(Some(self.visit)).at(SECTION);
        let back = layout.url(&page_of(self.id));
        let with_account = "Only with the outcome completed.";
        let confirm = Input::new("confirm", "The last four characters of the IBAN", Control::Line);
        Confirmation {
            act: "resolve",
            title: "Resolve the opening".to_owned(),
            action: format!("{back}/resolve"),
            rehearsal,
            inputs: vec![
                Input::new("outcome", "Outcome", Control::Choice(&["failed", "rejected", "completed"])),
                Input::reason(),
                Input::new("evidence", "Evidence", Control::Lines).help("What shows it, such as a letter of the bank."),
                Input::new("iban", "IBAN", Control::Line).optional().help(with_account),
                Input::new("bic", "BIC", Control::Line).optional().help(with_account),
                Input::new("provider_reference", "Tracking id", Control::Line)
                    .optional()
                    .help("Only with the outcome completed, where none is known yet."),
            ],
            hidden: vec![("expected_version", self.version.to_string())],
            confirm: Some(confirm.optional().help(with_account)),
            button: "Resolve it",
            token,
            back,
            layout,
        }
    }
}
