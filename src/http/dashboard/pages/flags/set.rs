//! `/flags/set`: sets the flag for a market, a customer type, both or all, by an admin. The address holds the rule that the page
//! rehearses; its form sends that rule.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::PAGE;
use crate::acts::Admin;
use crate::acts::set_flag::{self, FlagRehearsal, SetFlagRequest};
use crate::domain::CustomerType;
use crate::domain::flag::{ASYNC_ACCOUNT_OPENING, Rule};
use crate::http::dashboard::act::{ActForm, ActingAsAdmin, done, once};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal, confirmed};
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::flags::set::FlagSetting;
use crate::http::internal::page::Params;
use crate::http::problem::ApiError;

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    ActingAsAdmin(admin): ActingAsAdmin,
    visit: Visit,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.given();
    params.only(&["market", "customer_type", "enabled", "percentage"])?;
    // The reason comes with the form.
    let asked = Fields::of(&params)?.or("enabled", "true").or("reason", "-").read::<FlagSetting>()?;
    confirmation(&dashboard, &admin, &visit, asked.rule()).await?.answer()
}

pub async fn set(
    State(dashboard): State<Arc<Dashboard>>,
    ActingAsAdmin(admin): ActingAsAdmin,
    visit: Visit,
    form: ActForm<FlagSetting>,
) -> Result<Response, ApiError> {
    let checked = form.body.and_then(|body| {
        confirmed(&form.confirm, typed(&body.rule()), "must be the market above, or all")?;
        Ok(body)
    });
    let setting = match checked {
        Ok(setting) => setting,
        Err(refusal) => {
            // An error in the rule itself is no matter of this form.
            let asked = form.fields.clone().without("reason").or("reason", "-").read::<FlagSetting>()?;
            let page = confirmation(&dashboard, &admin, &visit, asked.rule()).await?;
            return Confirmation { token: form.token, ..page }.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let acting = async {
        let (rule, reason) = (setting.rule(), setting.reason);
        let request = SetFlagRequest { flag: ASYNC_ACCOUNT_OPENING, rule, reason };
        set_flag::run(&acts, &admin, request).await.map(|_| ())
    };
    once(&dashboard, form.token, Box::pin(acting)).await?;
    Ok(done(&dashboard, PAGE, "set_flag"))
}

/// The word that is typed to confirm: how far the rule reaches.
fn typed(rule: &Rule) -> &str {
    rule.scope.market.as_deref().unwrap_or("all")
}

async fn confirmation(
    dashboard: &Dashboard,
    admin: &Admin,
    visit: &Visit,
    rule: Rule,
) -> Result<Confirmation, ApiError> {
    let layout = dashboard.layout(Some(visit)).at(PAGE);
    let request = SetFlagRequest { flag: ASYNC_ACCOUNT_OPENING, rule: rule.clone(), reason: String::new() };
    let rehearsed = set_flag::rehearse(&dashboard.acts, admin, request).await;
    let fixed = |name, label| Input::new(name, label, Control::Fixed);
    Ok(Confirmation {
        act: "set_flag",
        title: format!("Set {ASYNC_ACCOUNT_OPENING}"),
        action: layout.url("/flags/set"),
        back: layout.url(PAGE),
        rehearsal: vec![Rehearsal::of("", rehearsed, |it| lines(&it))?],
        inputs: vec![
            fixed("market", "Market").value(rule.scope.market.clone().unwrap_or_default()).help("Empty: all markets."),
            fixed("customer_type", "Customer type")
                .value(rule.scope.customer_type.map(CustomerType::as_str).unwrap_or_default())
                .help("Empty: all types."),
            fixed("enabled", "On").value(rule.enabled.to_string()).help("False: openings start on the legacy flow."),
            fixed("percentage", "Percentage").value(rule.percentage.to_string()).help("The share for which it is on."),
            Input::reason(),
        ],
        hidden: Vec::new(),
        confirm: Some(
            Input::new("confirm", "Type the market, or all", Control::Line).help("How far the rule reaches."),
        ),
        button: "Set it",
        token: dashboard.shell.ids.next(),
        layout,
    })
}

fn lines(rehearsal: &FlagRehearsal) -> Vec<String> {
    let FlagRehearsal { openings, async_now, async_then, moved } = rehearsal;
    vec![
        format!("looks at the newest {openings} openings, as if their callers had named no flow"),
        format!("starts {async_then} of them on the asynchronous flow; the rules of now start {async_now}"),
        format!("starts {moved} of them on another flow than now"),
        "holds for openings that start from then on, on every replica within two seconds".to_owned(),
    ]
}
