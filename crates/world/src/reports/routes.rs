//! The files over HTTP, for `curl` and the demo: `/reports/register.csv`, `/reports/charges.csv`, `/reports/bank.xml`, what they must lead to at
//! `/reports/plan.json`, and the bank's price list at `/reports/prices.csv`. Without a key, as everything of the simulator's
//! control.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{NaiveTime, TimeDelta};
use clock::Time;
use serde::Deserialize;

use super::{Ask, Books, Divergences, PRICE_LIST, Plan, write};
use crate::world::World;

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/reports/register.csv", get(register))
        .route("/reports/charges.csv", get(charges))
        .route("/reports/bank.xml", get(bank))
        .route("/reports/plan.json", get(plan))
        .route("/reports/prices.csv", get(prices))
}

/// `?from=&until=&as_of=&divergences=quota`: all optional. Unset: everything of today, until now, without divergences.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    from: Option<Time>,
    until: Option<Time>,
    as_of: Option<Time>,
    #[serde(default)]
    divergences: Divergences,
    dealt_at: Option<Time>,
    #[serde(default)]
    revised: bool,
    #[serde(default)]
    again: bool,
    #[serde(default)]
    cut: bool,
    /// In milliseconds.
    recon_window: Option<i64>,
    /// In milliseconds.
    charge_window: Option<i64>,
}

impl Wanted {
    fn ask(self, now: Time) -> Ask {
        let as_of = self.as_of.unwrap_or(now);
        let until = self.until.unwrap_or(as_of);
        let from = self.from.unwrap_or_else(|| until.date_naive().and_time(NaiveTime::MIN).and_utc());
        let clean = Ask::clean(from, until);
        Ask {
            as_of,
            divergences: self.divergences,
            dealt_at: self.dealt_at.unwrap_or(as_of),
            revised: self.revised,
            again: self.again,
            cut: self.cut,
            recon_window: self.recon_window.map_or(clean.recon_window, TimeDelta::milliseconds),
            charge_window: self.charge_window.map_or(clean.charge_window, TimeDelta::milliseconds),
            ..clean
        }
    }
}

fn books(world: &World, wanted: Wanted) -> Books {
    let entries = world.ledger().entries();
    write(&entries, world.seed, &wanted.ask(world.clock.now()))
}

async fn register(State(world): State<Arc<World>>, Query(wanted): Query<Wanted>) -> Response {
    csv(books(&world, wanted).register)
}

async fn charges(State(world): State<Arc<World>>, Query(wanted): Query<Wanted>) -> Response {
    csv(books(&world, wanted).charges)
}

async fn bank(State(world): State<Arc<World>>, Query(wanted): Query<Wanted>) -> Response {
    ([(CONTENT_TYPE, "application/xml")], books(&world, wanted).bank).into_response()
}

async fn plan(State(world): State<Arc<World>>, Query(wanted): Query<Wanted>) -> Json<Plan> {
    Json(books(&world, wanted).plan)
}

async fn prices() -> Response {
    csv(PRICE_LIST.to_owned())
}

fn csv(text: String) -> Response {
    ([(CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response()
}
