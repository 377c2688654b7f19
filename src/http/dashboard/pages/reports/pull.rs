//! `/reports/pull`: reads a provider's list as a register.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::{DurationRound as _, SecondsFormat, TimeDelta};

use super::SECTION;
use crate::acts::pull_report::{self, Preview, PullRequest};
use crate::acts::{ActError, Operator};
use crate::clock::Time;
use crate::http::dashboard::act::{ActForm, Acting, done, made_before};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal};
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::forms;
use crate::http::internal::page::Params;
use crate::http::internal::reports::pull::PullBody;
use crate::http::problem::{ApiError, Kind};

/// The period that is shown first: the day before now.
const PERIOD: TimeDelta = TimeDelta::days(1);

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.given();
    params.only(&["provider", "from", "until"])?;
    let mut asked = Asked::first(&dashboard);
    asked.provider = params.read("provider", forms::name)?.unwrap_or(asked.provider);
    asked.from = params.read("from", forms::timestamp)?.unwrap_or(asked.from);
    asked.until = params.read("until", forms::timestamp)?.unwrap_or(asked.until);
    confirmation(&dashboard, &operator, &visit, asked).await?.answer()
}

pub async fn pull(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    form: ActForm<PullBody>,
) -> Result<Response, ApiError> {
    let PullBody { provider, from, until, reason } = match form.body {
        Ok(body) => body,
        Err(refusal) => return again(&dashboard, &operator, &visit, form.token, &form.fields, refusal).await,
    };
    let acts = dashboard.acts.of_form(form.token);
    let request = PullRequest { provider, from, until, reason };
    let id = match made_before(&dashboard, form.token).await? {
        Some(id) => id,
        None => match Box::pin(pull_report::run(&acts, &operator, request)).await {
            Ok((id, _)) => id,
            Err(ActError::Repeated) => {
                made_before(&dashboard, form.token).await?.ok_or(ApiError::new(Kind::NotFound))?
            }
            Err(error) => return again(&dashboard, &operator, &visit, form.token, &form.fields, error.into()).await,
        },
    };
    Ok(done(&dashboard, &format!("/reports/{id}"), "pull_report"))
}

/// The list and the period that the page shows.
struct Asked {
    provider: String,
    from: Time,
    until: Time,
}

impl Asked {
    fn first(dashboard: &Dashboard) -> Self {
        let providers = &dashboard.outside.providers;
        let now = dashboard.shell.clock.now();
        let until = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        let provider = providers.names_with_list().next().unwrap_or_default().to_owned();
        Self { provider, from: until - PERIOD, until }
    }
}

async fn again(
    dashboard: &Dashboard,
    operator: &Operator,
    visit: &Visit,
    token: uuid::Uuid,
    fields: &Fields,
    refusal: ApiError,
) -> Result<Response, ApiError> {
    let page = confirmation(dashboard, operator, visit, Asked::first(dashboard)).await?;
    Confirmation { token, ..page }.again(fields, refusal)
}

async fn confirmation(
    dashboard: &Dashboard,
    operator: &Operator,
    visit: &Visit,
    asked: Asked,
) -> Result<Confirmation, ApiError> {
    let Asked { provider, from, until } = asked;
    let request = PullRequest { provider: provider.clone(), from, until, reason: String::new() };
    let rehearsal = match pull_report::rehearse(&dashboard.acts, operator, request).await {
        Ok(preview) => Rehearsal { of: "", lines: lines(&provider, &preview), refused: None },
        Err(ActError::Field { takes, .. }) => Rehearsal { of: "", lines: Vec::new(), refused: Some(takes) },
        Err(error) => return Err(error.into()),
    };
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let time = |it: Time| it.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    Ok(Confirmation {
        act: "pull_report",
        title: "Pull a provider's list".to_owned(),
        action: layout.url("/reports/pull"),
        rehearsal: vec![rehearsal],
        inputs: vec![
            Input::new("provider", "Provider", Control::Line).help("A provider with a list.").value(provider),
            Input::new("from", "From", Control::Line).help("RFC 3339, with its zone.").value(time(from)),
            Input::new("until", "Until", Control::Line).help("RFC 3339, not in the future.").value(time(until)),
            Input::reason(),
        ],
        hidden: Vec::new(),
        confirm: None,
        button: "Pull",
        token: dashboard.shell.ids.next(),
        back: layout.url("/reports"),
        layout,
    })
}

fn lines(provider: &str, preview: &Preview) -> Vec<String> {
    let time = |it: Time| it.format("%Y-%m-%d %H:%M:%S UTC");
    let first = format!("reads the list of {provider} from {} until {}", time(preview.from), time(preview.until));
    let second = match preview.served_by {
        Some(report) => format!("the list of this period is being read already, as report {report}"),
        None => {
            "compares it with our openings like a file: missed answers become facts, differences become cases".into()
        }
    };
    vec![first, second, "concludes nothing from what is absent".to_owned()]
}
