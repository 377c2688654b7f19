//! The data of an opening's page, read in four statements.

use sqlx::PgConnection;

use crate::clock::Time;
use crate::db::overview::{self, Overview};
use crate::db::timeline::Item;
use crate::db::{Page, openings};
use crate::domain::compare::{Said, Side, Situation};
use crate::domain::next::Work;
use crate::domain::verify::{Anchor, verify};
use crate::domain::{CaseKind, Fact, Opening, OpeningId, Source, Status};
use crate::http::dashboard::Dashboard;
use crate::http::internal::page::one_more;
use crate::http::problem::{ApiError, Kind};
use crate::inbox::timeline::{self, Learnt};
use crate::report_files::row::RegisterRow;

/// The key of the timeline's pages.
pub type Place = (Time, i32, String);

/// The sources of the provider's word.
const SOURCES: [Source; 5] = [Source::Webhook, Source::Sandbox, Source::Poll, Source::List, Source::Command];

/// # Errors
/// 404 if there is none.
pub async fn opening(dashboard: &Dashboard, id: OpeningId) -> Result<Opening, ApiError> {
    let work = async move |connection: &mut PgConnection| openings::get(connection, id).await;
    dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))
}

pub struct Seen {
    pub opening: Opening,
    pub overview: Overview,
    /// Newest first, with one more than the page shows.
    pub items: Vec<Item>,
    pub facts: Vec<Learnt>,
}

impl Seen {
    pub async fn read(dashboard: &Dashboard, id: OpeningId, page: Page<Place>) -> Result<Self, ApiError> {
        let providers = dashboard.outside.providers.clone();
        let work = async move |connection: &mut PgConnection| {
            let Some(opening) = openings::get(connection, id).await? else { return Ok(None) };
            let overview = overview::of(connection, &opening).await?;
            let (items, facts) = timeline::newest(connection, &providers, &opening, one_more(&page), &SOURCES).await?;
            Ok(Some(Self { opening, overview, items, facts }))
        };
        dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))
    }

    /// The work of its state, with the breakers of this replica.
    pub fn work(&self, dashboard: &Dashboard) -> Work {
        let letters = self.overview.letters.iter().map(|it| it.kind.as_str());
        let now = dashboard.shell.clock.now();
        dashboard.outside.work_of(&self.opening, &self.overview.calls, letters, now)
    }

    /// The last report by each way of the provider, whichever page of the timeline is shown.
    pub fn said(&self) -> Vec<Said> {
        let row = self.overview.register_row.as_ref();
        let register = row.and_then(|it| {
            let row: RegisterRow = serde_json::from_value(it.row.clone()).ok()?;
            Some(Said { side: Side::Report, at: it.as_of, report: row.report() })
        });
        self.facts.iter().filter(|it| it.is_last).filter_map(said).chain(register).collect()
    }

    pub fn situation(&self) -> Situation {
        let is_over =
            |state: &str| state.parse().is_ok_and(|it: crate::domain::StateName| it.status() != Status::InProgress);
        Situation {
            is_unread: self.overview.is_unread,
            is_missing: self.overview.mismatches.iter().any(|class| class == "MISSING_EXTERNAL"),
            open_cases: self.overview.cases.iter().filter_map(|it| it.kind.parse::<CaseKind>().ok()).collect(),
            decided_at: self.overview.steps.iter().find(|it| is_over(&it.to_state)).map(|it| it.at),
        }
    }

    /// How many steps of its history verify, and how many there are.
    pub fn verified(&self, dashboard: &Dashboard) -> (usize, usize) {
        let history = self.overview.history(self.opening.id.0);
        let links: Vec<_> = history.iter().map(crate::db::history::Transition::link).collect();
        let state = self.opening.state_name();
        let anchor = Anchor { state: state.as_str(), version: self.opening.version, head: &self.overview.head_hash };
        let findings = verify(&dashboard.cell.effect_context.key, self.opening.id.0, Some(&anchor), &links);
        let first_wrong = findings.iter().map(|it| it.version).min();
        let sound = |version: i64| first_wrong.is_none_or(|first| version < first);
        (history.iter().filter(|it| sound(it.version)).count(), history.len())
    }
}

fn said(learnt: &Learnt) -> Option<Said> {
    let side = match (learnt.source, &learnt.fact) {
        (Source::Webhook | Source::Sandbox, _) => Side::Webhook,
        (Source::Poll, _) => Side::Poll,
        (Source::List, _) => Side::List,
        (Source::Report, _) => Side::Report,
        (Source::Command, Fact::SubmissionAccepted { .. }) => Side::Ours,
        _ => return None,
    };
    learnt.fact.report().map(|report| Said { side, at: learnt.at, report: report.clone() })
}
