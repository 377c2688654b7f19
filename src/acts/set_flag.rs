//! Sets the flag `async-account-opening` for a market, a customer type, both or all.
//!
//! A change is a row that is never altered. Every replica follows within two seconds, for openings that start from then on.

use serde_json::json;
use sqlx::PgConnection;

use super::{ActError, Acts, Admin};
use crate::db::feature_flags::{self, Change, NewChange};
use crate::db::openings::{self, Filter};
use crate::db::operator_actions::Action;
use crate::db::{self, Page, operator_actions};
use crate::domain::flag::{Rule, Rules, Scope};
use crate::domain::{Flow, Opening};

/// The openings that a rehearsal looks at.
const SAMPLE: i64 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFlagRequest {
    pub flag: &'static str,
    pub rule: Rule,
    pub reason: String,
}

/// The rule that holds for the scope then.
///
/// # Errors
/// When the database is away.
pub async fn run(acts: &Acts, admin: &Admin, request: SetFlagRequest) -> Result<Change, ActError> {
    let SetFlagRequest { flag, rule, reason } = request;
    let action = acts.record(&admin.name(), "set_flag", &flag, reason);
    let action = Action { detail: detail(&rule), ..action };
    let Action { id, at, who, reason, .. } = action.clone();
    let change = NewChange { id, flag: flag.to_owned(), rule, reason, who, at };
    let work = async move |connection: &mut PgConnection| {
        feature_flags::insert(connection, &change).await?;
        operator_actions::insert(connection, &action).await?;
        feature_flags::get(connection, &change.flag, &change.rule.scope).await
    };
    let done = db::in_one_commit(&acts.cell.pool, work).await;
    // Also after a failure: the reply to a commit that took effect may be lost.
    acts.flags.forget();
    let holds = done?.ok_or_else(|| ActError::Internal("a flag's change was not inserted".to_owned()))?;
    tracing::info!(flag, "an admin set a flag");
    Ok(holds)
}

/// Of the newest openings: how many would start on which flow, with the rules of now and with this one, if their callers named no
/// flow. A flow that a caller names overrides the flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlagRehearsal {
    pub openings: usize,
    pub async_now: usize,
    pub async_then: usize,
    /// Openings that would start on the other flow.
    pub moved: usize,
}

/// # Errors
/// When the database is away.
pub async fn rehearse(acts: &Acts, _: &Admin, request: SetFlagRequest) -> Result<FlagRehearsal, ActError> {
    let SetFlagRequest { flag, rule, .. } = request;
    let flag = flag.to_owned();
    let work = async move |connection: &mut PgConnection| {
        let now = feature_flags::rules(connection, &flag).await?;
        let page = Page { limit: SAMPLE, after: None };
        let newest = openings::list(connection, &Filter::default(), page).await?.openings;
        let others = now.0.iter().filter(|it| it.scope != rule.scope).cloned();
        let then = Rules(others.chain([rule.clone()]).collect());
        Ok::<_, ActError>(compare(&newest, &now, &then))
    };
    db::with_retries(&acts.cell.pool, work).await
}

fn compare(openings: &[Opening], now: &Rules, then: &Rules) -> FlagRehearsal {
    let mut rehearsal = FlagRehearsal { openings: openings.len(), ..FlagRehearsal::default() };
    for Opening { id, request, .. } in openings {
        let is_async = |rules: &Rules| rules.flow(*id, &request.market, request.customer_type) == Flow::Async;
        let (now, then) = (is_async(now), is_async(then));
        rehearsal.async_now += usize::from(now);
        rehearsal.async_then += usize::from(then);
        rehearsal.moved += usize::from(now != then);
    }
    rehearsal
}

fn detail(Rule { scope: Scope { market, customer_type }, enabled, percentage }: &Rule) -> serde_json::Value {
    json!({"market": market, "customer_type": customer_type, "enabled": enabled, "percentage": percentage})
}
