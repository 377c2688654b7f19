//! The page itself: four statements, and what this replica knows of breakers and webhooks.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::PAGE;
use crate::db::gauges::MAX_COUNTED;
use crate::db::today::{self, Learnt};
use crate::db::webhook_marks::Mark;
use crate::db::{Page, backfills, breakers, webhook_secrets};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{self, Look, Moment, Privacy, capped, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cursor::Key;
use crate::http::internal::page::{Params, one_more};
use crate::http::internal::webhook_secrets::active;
use crate::http::problem::ApiError;
use crate::outbound::Gate;
use crate::outbound::breaker::Phase;

/// The most secrets that are shown; a provider has a few.
const MAX_SECRETS: i64 = 200;

#[derive(Template)]
#[template(path = "providers.html")]
struct ProvidersPage {
    layout: Layout,
    breakers: Vec<Breaker>,
    providers: Vec<Provider>,
    marks: Vec<(Mark, Option<Moment>, Option<Moment>)>,
    backfills: Vec<Backfill>,
    /// The address of older backfills. None: these are the oldest.
    next: Option<String>,
    secrets: Vec<Secret>,
}

struct Breaker {
    name: String,
    mark: parts::Mark,
    under_way: usize,
    /// The operator that forced it, the time and the reason. None: automatic control.
    forced: Option<(String, Moment, String)>,
    href: String,
}

struct Provider {
    name: &'static str,
    /// The address of the act that reads its list. None: it has none.
    backfill: Option<String>,
    answers: String,
    /// The share of them that polls learnt, in percent. None: there are no answers.
    by_poll: Option<i64>,
}

struct Backfill {
    provider: String,
    since: Moment,
    cause: String,
    by: String,
    reason: String,
    status: String,
    pages: i32,
    items: i64,
    new_facts: i64,
    created: Moment,
    finished: Option<Moment>,
}

struct Secret {
    row: webhook_secrets::Row,
    first: Option<Moment>,
    last: Option<Moment>,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let page = params.page::<Uuid>()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let since = dashboard.shell.clock.now() - TimeDelta::hours(24);
    let secrets = active(&dashboard.outside.providers);
    let work = async move |connection: &mut PgConnection| {
        let forced = breakers::all(connection).await?;
        let backfills = backfills::list(connection, None, one_more(&page)).await?;
        let secrets = webhook_secrets::list(connection, &secrets, Page { limit: MAX_SECRETS, after: None }).await?;
        Ok((forced, backfills, secrets, today::learnt(connection, since).await?))
    };
    let (forced, mut rows, secrets, learnt) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at(PAGE);
    let privacy = Privacy::new(layout.is_operator(), None);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more);
    let next = next.map(|it| format!("{}?limit={limit}&cursor={}#backfills", layout.url(PAGE), it.id.write()));
    let gates = dashboard.outside.gates.all();
    let marks = dashboard.webhook_activity.marks().into_iter();
    html(&ProvidersPage {
        breakers: gates.iter().map(|it| breaker(it, &forced, &layout, &privacy)).collect(),
        providers: providers(&dashboard, &learnt, &layout),
        marks: marks
            .map(|it| (it.clone(), it.last_received_at.map(Moment::from), it.waits_since.map(Moment::from)))
            .collect(),
        backfills: rows.into_iter().map(|it| backfill(it, &privacy)).collect(),
        next,
        secrets: secrets.into_iter().map(secret).collect(),
        layout,
    })
}

fn breaker(gate: &Gate, forced: &[breakers::Row], layout: &Layout, privacy: &Privacy) -> Breaker {
    let (system, operation) = (gate.system(), gate.operation());
    let row = forced.iter().find(|it| it.is_of(system, operation));
    let (word, look) = match (gate.phase(), gate.forced().is_some()) {
        (Phase::Closed, false) => ("closed", Look::Good),
        (Phase::Closed, true) => ("forced closed", Look::Waiting),
        (Phase::HalfOpen, _) => ("half-open", Look::Waiting),
        (Phase::Open, false) => ("open", Look::Urgent),
        (Phase::Open, true) => ("forced open", Look::Urgent),
    };
    Breaker {
        name: format!("{system}/{operation}"),
        mark: layout.mark(word, look),
        under_way: gate.under_way(),
        forced: row.map(|it| (it.who.clone(), it.at.into(), privacy.text(&it.reason))),
        href: layout.url(&format!("{PAGE}/{system}/breakers/{operation}")),
    }
}

fn providers(dashboard: &Dashboard, learnt: &[Learnt], layout: &Layout) -> Vec<Provider> {
    let provider = |it: &Arc<dyn crate::provider::Provider>| {
        let name = it.name();
        let count = |is_wanted: fn(&str) -> bool| -> i64 {
            learnt.iter().filter(|it| it.provider == name && is_wanted(&it.source)).map(|it| it.count).sum()
        };
        let (all, by_poll) = (count(|_| true), count(|it| it == "poll"));
        Provider {
            name,
            backfill: dashboard
                .outside
                .providers
                .with_list(name)
                .map(|_| layout.url(&format!("{PAGE}/{name}/backfill"))),
            answers: capped(all.min(MAX_COUNTED)),
            by_poll: (all > 0).then(|| by_poll * 100 / all),
        }
    };
    dashboard.outside.providers.all().map(provider).collect()
}

fn backfill(row: backfills::Row, privacy: &Privacy) -> Backfill {
    Backfill {
        provider: row.provider,
        since: row.since.into(),
        cause: words(&row.cause),
        by: row.who.unwrap_or_default(),
        reason: privacy.text(row.reason.as_deref().unwrap_or_default()),
        status: match row.last_error {
            Some(error) if row.status != "done" => format!("{}: {}", row.status, words(&error)),
            _ => row.status,
        },
        pages: row.pages,
        items: row.items,
        new_facts: row.new_facts,
        created: row.created_at.into(),
        finished: row.finished_at.map(Moment::from),
    }
}

fn secret(row: webhook_secrets::Row) -> Secret {
    Secret { first: row.first_used_at.map(Moment::from), last: row.last_used_at.map(Moment::from), row }
}
