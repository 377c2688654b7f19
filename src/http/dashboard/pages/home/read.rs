//! The first page's data: nine statements, the breakers and marks of webhooks of this replica, and what follows from them.

use chrono::TimeDelta;
use sqlx::PgConnection;

use crate::clock::{Time, last_id_of};
use crate::db::breakers;
use crate::db::gauges::{self, OpenMismatches};
use crate::db::inbox;
use crate::db::today::{self, Counted, DeadLetters, HourOfIds, InHour};
use crate::db::webhook_marks::Mark;
use crate::http::dashboard::Dashboard;
use crate::http::dashboard::parts::chart::hours;
use crate::http::problem::ApiError;
use crate::outbound::breaker::Phase;

/// How far back refused webhooks count.
const DAY: TimeDelta = TimeDelta::hours(24);
/// A market is silent when no webhook about it came for so long, and an opening has waited all the time. As the alert has it.
const SILENT_AFTER: TimeDelta = TimeDelta::hours(1);
/// A report is missing when the newest one of its kind is older, as the alert has it.
const REGISTERS_COME_WITHIN: TimeDelta = TimeDelta::days(2);
const OTHERS_COME_WITHIN: TimeDelta = TimeDelta::days(35);

/// A part of a count that has a name of its own, and since when it is so.
#[derive(Clone, Debug)]
pub struct Since {
    pub name: String,
    pub since: Option<Time>,
}

pub struct Today {
    pub counts: Vec<Counted>,
    pub dead_letters: Vec<DeadLetters>,
    /// Those that wait for a person.
    pub mismatches: Vec<OpenMismatches>,
    /// The breakers that are not closed.
    pub breakers: Vec<Since>,
    pub silent_markets: Vec<Since>,
    pub missing_reports: Vec<Since>,
    pub hours: Vec<Time>,
    pub answers: Vec<InHour>,
    pub started: Vec<InHour>,
}

/// The rows that the statements read.
struct Rows {
    waiting: Vec<(String, String)>,
    counts: Vec<Counted>,
    dead_letters: Vec<DeadLetters>,
    mismatches: Vec<OpenMismatches>,
    forced: Vec<breakers::Row>,
    newest_reports: Vec<(String, String, Time)>,
    answers: Vec<InHour>,
    started: Vec<InHour>,
}

impl Today {
    pub async fn read(dashboard: &Dashboard) -> Result<Self, ApiError> {
        let now = dashboard.shell.clock.now();
        let hours = hours(now);
        let quiet = quiet_marks(&dashboard.webhook_activity.marks(), now);
        let rows = rows(dashboard, now, hours.clone(), !quiet.is_empty()).await?;
        Ok(Self {
            breakers: not_closed(dashboard, &rows.forced),
            silent_markets: silent(&quiet, &rows.waiting),
            missing_reports: missing(rows.newest_reports, now),
            mismatches: for_a_person(rows.mismatches),
            counts: rows.counts,
            dead_letters: rows.dead_letters,
            answers: rows.answers,
            started: rows.started,
            hours,
        })
    }
}

/// `is_quiet`: a market has had no webhook for long.
async fn rows(dashboard: &Dashboard, now: Time, hours: Vec<Time>, is_quiet: bool) -> Result<Rows, ApiError> {
    let ids: Vec<HourOfIds> = hours.iter().map(|it| of_ids(*it)).collect();
    let wait = dashboard.settings.policy.escalate_after;
    let cutoff = now - dashboard.settings.parked_ttl;
    let work = async move |connection: &mut PgConnection| {
        let since = now - SILENT_AFTER;
        let waiting = if is_quiet { today::waiting_since(connection, since, wait).await? } else { Vec::new() };
        Ok(Rows {
            waiting,
            counts: counts(connection, now, cutoff).await?,
            dead_letters: today::dead_letters(connection).await?,
            mismatches: gauges::mismatches(connection).await?,
            forced: breakers::all(connection).await?,
            newest_reports: gauges::newest_reports(connection).await?,
            answers: today::answers(connection, &hours).await?,
            started: today::started(connection, &ids).await?,
        })
    };
    dashboard.read(work).await
}

/// Facts are late that have waited for an opening since `cutoff`.
async fn counts(connection: &mut PgConnection, now: Time, cutoff: Time) -> sqlx::Result<Vec<Counted>> {
    let mut counts = today::counts(connection, last_id_of(now - DAY)).await?;
    let (count, oldest) = inbox::unmatched_in_time(connection, cutoff).await?;
    counts.push(Counted { name: "unmatched".to_owned(), count, oldest });
    Ok(counts)
}

fn of_ids(hour: Time) -> HourOfIds {
    let millisecond = TimeDelta::milliseconds(1);
    let end = hour + TimeDelta::hours(1);
    HourOfIds { hour, after: last_id_of(hour - millisecond), last: last_id_of(end - millisecond) }
}

/// A difference that waits, or was repaired and is looked at again, waits for no person.
fn for_a_person(mismatches: Vec<OpenMismatches>) -> Vec<OpenMismatches> {
    mismatches.into_iter().filter(|it| it.state == "case").collect()
}

/// A forced breaker is so since the act; another one since its system did not answer.
fn not_closed(dashboard: &Dashboard, forced: &[breakers::Row]) -> Vec<Since> {
    let gates = dashboard.outside.gates.all();
    let open = gates.iter().filter(|it| it.phase() != Phase::Closed);
    let since = open.map(|gate| {
        let act = forced.iter().find(|it| it.is_of(gate.system(), gate.operation())).map(|it| it.at);
        Since { name: format!("{}/{}", gate.system(), gate.operation()), since: act.or(gate.away_since()) }
    });
    since.collect()
}

/// The markets without a webhook for an hour.
fn quiet_marks(marks: &[Mark], now: Time) -> Vec<(Mark, Time)> {
    let since = |it: &Mark| it.last_received_at.or(it.waits_since).filter(|at| now - *at > SILENT_AFTER);
    marks.iter().filter_map(|it| Some((it.clone(), since(it)?))).collect()
}

fn silent(quiet: &[(Mark, Time)], waiting: &[(String, String)]) -> Vec<Since> {
    let waits = |mark: &Mark| waiting.iter().any(|it| *it == (mark.provider.clone(), mark.market.clone()));
    let silent = quiet.iter().filter(|(mark, _)| waits(mark));
    silent.map(|(it, at)| Since { name: format!("{} {}", it.provider, it.market), since: Some(*at) }).collect()
}

fn missing(newest: Vec<(String, String, Time)>, now: Time) -> Vec<Since> {
    let within = |kind: &str| if kind == "register" { REGISTERS_COME_WITHIN } else { OTHERS_COME_WITHIN };
    let late = newest.into_iter().filter(|(_, kind, at)| now - *at > within(kind));
    late.map(|(provider, kind, at)| Since { name: format!("{provider} {kind}"), since: Some(at) }).collect()
}
