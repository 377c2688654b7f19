//! `/providers/{system}/breakers/{operation}`: forces a breaker open or closed, or returns it to automatic control.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::PAGE;
use crate::acts::Operator;
use crate::acts::force_breaker::{self, ForceBreakerRequest, Preview};
use crate::http::dashboard::act::{ActForm, Acting, done, once};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::breakers::Force;
use crate::http::internal::path::Names;
use crate::http::problem::ApiError;
use crate::outbound::Gate;
use crate::outbound::breaker::Forced;

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Names((system, operation)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    let gate = force_breaker::gate(&dashboard.acts, &system, &operation)?;
    confirmation(&dashboard, &operator, &visit, &gate).await?.answer()
}

pub async fn force(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Names((system, operation)): Names<(String, String)>,
    form: ActForm<Force>,
) -> Result<Response, ApiError> {
    let gate = force_breaker::gate(&dashboard.acts, &system, &operation)?;
    let Force { forced, reason } = match form.body {
        Ok(body) => body,
        Err(refusal) => {
            let page = confirmation(&dashboard, &operator, &visit, &gate).await?;
            return Confirmation { token: form.token, ..page }.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let acting = async {
        let request = ForceBreakerRequest { forced, reason };
        force_breaker::run(&acts, &operator, &gate, request).await.map(|_| ())
    };
    once(&dashboard, form.token, Box::pin(acting)).await?;
    Ok(done(&dashboard, PAGE, "force_breaker"))
}

async fn confirmation(
    dashboard: &Dashboard,
    operator: &Operator,
    visit: &Visit,
    gate: &Gate,
) -> Result<Confirmation, ApiError> {
    let layout = dashboard.layout(Some(visit)).at(PAGE);
    let (system, operation) = (gate.system(), gate.operation());
    let mut rehearsal = Vec::new();
    for (of, forced) in [("open", Some(Forced::Open)), ("closed", Some(Forced::Closed)), ("automatic", None)] {
        let request = ForceBreakerRequest { forced, reason: String::new() };
        let rehearsed = force_breaker::rehearse(&dashboard.acts, operator, gate, &request).await;
        rehearsal.push(Rehearsal::of(of, rehearsed, |preview| lines(&preview))?);
    }
    Ok(Confirmation {
        act: "force_breaker",
        title: format!("Force the breaker of {system}/{operation}"),
        action: layout.url(&format!("{PAGE}/{system}/breakers/{operation}")),
        back: layout.url(PAGE),
        rehearsal,
        inputs: vec![
            Input::new("forced", "The breaker is then", Control::Choice(&["open", "closed", "automatic"])),
            Input::reason(),
        ],
        hidden: Vec::new(),
        confirm: None,
        button: "Force it",
        token: dashboard.shell.ids.next(),
        layout,
    })
}

/// The changes that the override makes, and the override that it replaces.
fn lines(Preview { now, then }: &Preview) -> Vec<String> {
    if now.is_none() && then.is_none() {
        return vec!["changes nothing: the calls decide already; a breaker that is open stays open".to_owned()];
    }
    let does = match then {
        Some(Forced::Open) => {
            "no call is made, on any replica, within 2 seconds; its work waits and uses up no attempt"
        }
        Some(Forced::Closed) => "every call is made, on all replicas, and all work that waits for it becomes due",
        None => "returns to automatic control, beginning with a closed breaker",
    };
    let replaces = match now {
        Some(row) => format!("replaces: forced {} by {}", row.forced, row.who),
        None => "replaces automatic control".to_owned(),
    };
    vec![does.to_owned(), replaces]
}
