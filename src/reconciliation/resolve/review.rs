//! Compares open mismatches again: a step or a file that agrees settles them, and one past its window becomes a case.
//!
//! One transaction per batch, behind the locks of the mismatches; those that another replica holds are skipped. A crash leaves
//! them due.

use std::collections::HashMap;

use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::apply::is_decided_by_facts;
use super::{RECONCILIATION, SELDOM, step};
use crate::clock::{Ids, Time};
use crate::db::cases::{self, Contradiction, NewCase};
use crate::db::inbox;
use crate::db::mismatches::{self, Mismatch, NewStep};
use crate::domain::{Fact, PollOutcome, StateName, Status};
use crate::reconciliation::classify::register::{Ours, Times, absent, classify, overdue};
use crate::reconciliation::classify::{Act, Class, Finding, MismatchState};
use crate::reconciliation::events;
use crate::reconciliation::matching::register::{Ends, Openings, openings_named};
use crate::report_files::row::RegisterRow;

/// How many mismatches a look takes.
const BATCH: i64 = 500;
/// The first wait for an effect; `SELDOM` is the longest.
const SOON: TimeDelta = TimeDelta::seconds(1);

/// The counts of a look at open mismatches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    pub seen: usize,
    pub settled: usize,
    pub cases: usize,
}

/// Looks at open mismatches.
pub struct Reviewer<'a> {
    pub ids: &'a Ids,
    /// The names of the sinks that are told of cases.
    pub sinks: &'a [String],
    pub window: TimeDelta,
    pub now: Time,
}

/// The next state of a mismatch.
enum Next {
    /// Nothing has changed.
    Keep,
    Settled(String),
    /// A person decides; a case is opened for it.
    Case(Box<Finding>),
    /// `decide` has opened this case, for a finding of this class.
    Linked(Contradiction, Class),
    /// Another class by the same rules, without a case of its own.
    Other(Box<Finding>),
}

impl Reviewer<'_> {
    /// Looks at a batch, in a transaction of its own.
    pub async fn look(&self, connection: &mut PgConnection) -> sqlx::Result<Reviewed> {
        let mut transaction = connection.begin().await?;
        let due = mismatches::claim(&mut transaction, self.now, BATCH).await?;
        if due.is_empty() {
            return Ok(Reviewed::default());
        }
        let known = Known::read(&mut transaction, &due).await?;
        let mut changed = Changed::default();
        for it in due {
            let next = self.next(&it, &known);
            changed.add(self, it, next);
        }
        let reviewed = changed.reviewed;
        changed.write(&mut transaction, self.sinks, self.now).await?;
        transaction.commit().await?;
        Ok(reviewed)
    }

    fn next(&self, it: &Mismatch, known: &Known) -> Next {
        let class: Class = match it.class.parse() {
            Ok(class) if it.kind == "register" => class,
            _ => return Next::Keep,
        };
        let row: Option<RegisterRow> = it.evidence.clone().and_then(|it| serde_json::from_value(it).ok());
        match (class, row) {
            (Class::MissingExternal, row) => absence(it, row.as_ref(), known),
            (Class::TooManyDifferences | Class::ConflictingRows, _) | (_, None) => Next::Keep,
            (_, Some(row)) => self.again(it, class, &row, known),
        }
    }

    fn again(&self, it: &Mismatch, class: Class, row: &RegisterRow, known: &Known) -> Next {
        let ours = known.ours(&it.provider, row);
        let times = Times::new(it.as_of.unwrap_or(it.created_at), it.created_at, self.window);
        let finding = classify(row, &ours, times).findings.into_iter().find(|found| found.aspect == it.aspect);
        let contradiction = || it.opening_id.and_then(|id| known.contradiction(id, it.fact_id));
        match finding {
            None => Next::Settled(agrees(&ours)),
            // `decide` opens the case of such a finding.
            Some(found) if is_decided_by_facts(found.class.as_str()) && found.act == Act::Fact => {
                match contradiction() {
                    Some(case) if it.case_id != Some(case.id) || it.class != found.class.as_str() => {
                        Next::Linked(case, found.class)
                    }
                    _ if found.class != class => Next::Other(Box::new(found)),
                    _ => Next::Keep,
                }
            }
            Some(found) => {
                let (found, is_late) = self.past_its_window(it, found, row, &ours);
                match found.act {
                    Act::Case if found.class != class || (is_late && !is_a_case(it)) => Next::Case(Box::new(found)),
                    Act::Wait { .. } if found.class != class => Next::Other(Box::new(found)),
                    _ => Next::Keep,
                }
            }
        }
    }

    /// A finding that waits, after its window, as the case that it becomes; any other as it is. Whether its window is over.
    fn past_its_window(&self, it: &Mismatch, found: Finding, row: &RegisterRow, ours: &Ours) -> (Finding, bool) {
        let Act::Wait { until } = found.act else { return (found, false) };
        if until > self.now && it.due_at.is_none_or(|due| due > self.now) {
            return (found, false);
        }
        let opening = ours.opening().filter(|_| found.class == Class::TimingMismatch);
        let late = opening.map(|opening| overdue(row, opening));
        (late.unwrap_or(Finding { act: Act::Case, ..found }), true)
    }
}

fn is_a_case(it: &Mismatch) -> bool {
    it.state == MismatchState::Case.as_str()
}

fn absence(it: &Mismatch, row: Option<&RegisterRow>, known: &Known) -> Next {
    if row.is_some() {
        return Next::Settled("a later register names the opening".to_owned());
    }
    if it.state != MismatchState::Applied.as_str() {
        return Next::Keep;
    }
    let poll = it.opening_id.and_then(|id| known.polls.get(&id)).filter(|it_| it_.at >= it.updated_at);
    match poll.map(|it| &it.outcome) {
        Some(PollOutcome::Answered(_)) => Next::Settled("the provider answered a poll".to_owned()),
        Some(PollOutcome::Failed { class }) if class == "not_found" => {
            absent_case(it).map_or(Next::Keep, |finding| Next::Case(Box::new(finding)))
        }
        _ if known.is_decided(it) => Next::Settled("the opening was decided".to_owned()),
        _ => Next::Keep,
    }
}

fn agrees(ours: &Ours) -> String {
    let state = ours.opening().map_or("gone".to_owned(), |it| it.state.to_string());
    format!("the opening is {state}, which agrees")
}

/// The provider has no such request: a person decides.
fn absent_case(it: &Mismatch) -> Option<Finding> {
    let state: StateName = it.ours.get("state")?.as_str()?.parse().ok()?;
    let reference = it.provider_reference.as_deref()?;
    Some(absent(it.opening_id?, state, reference, true))
}

/// The database's knowledge about a batch of mismatches.
struct Known {
    /// By provider.
    openings: HashMap<String, Openings>,
    polls: HashMap<Uuid, Polled>,
    contradictions: Vec<Contradiction>,
}

struct Polled {
    at: Time,
    outcome: PollOutcome,
}

impl Known {
    async fn read(connection: &mut PgConnection, due: &[Mismatch]) -> sqlx::Result<Self> {
        let mut named: HashMap<&str, (Vec<RegisterRow>, Vec<Uuid>)> = HashMap::new();
        for it in due {
            let (rows, ids) = named.entry(&it.provider).or_default();
            rows.extend(it.evidence.clone().and_then(|row| serde_json::from_value(row).ok()));
            ids.extend(it.opening_id);
        }
        let mut openings = HashMap::new();
        for (provider, (rows, ids)) in named {
            let rows: Vec<&RegisterRow> = rows.iter().collect();
            openings.insert(provider.to_owned(), openings_named(connection, provider, &rows, &ids, Ends::All).await?);
        }
        let ids: Vec<Uuid> = due.iter().filter_map(|it| it.opening_id).collect();
        let absences = due.iter().filter(|it| it.class == Class::MissingExternal.as_str());
        let absent: Vec<Uuid> = absences.filter_map(|it| it.opening_id).collect();
        let polls = inbox::last_polls(connection, &absent).await?;
        Ok(Self {
            openings,
            polls: polls
                .into_iter()
                .filter_map(|it| Some((it.0, Polled { at: it.1, outcome: outcome(&it.2)? })))
                .collect(),
            contradictions: cases::contradictions(connection, &ids).await?,
        })
    }

    fn ours(&self, provider: &str, row: &RegisterRow) -> Ours {
        self.openings.get(provider).map(|it| it.named_by(row)).unwrap_or_default()
    }

    fn is_decided(&self, it: &Mismatch) -> bool {
        let opening = it.opening_id.and_then(|id| self.openings.get(&it.provider)?.get(id));
        opening.is_some_and(|it| it.state.status() != Status::InProgress)
    }

    /// The case that the fact opened, else the newest about another answer for the opening.
    fn contradiction(&self, opening: Uuid, fact: Option<Uuid>) -> Option<Contradiction> {
        let of_opening = || self.contradictions.iter().filter(|it| it.opening_id == opening);
        let by_fact = of_opening().find(|it| fact.is_some_and(|fact| it.evidence.contains(&fact)));
        by_fact.or_else(|| of_opening().rfind(|it| it.kind == "conflicting_answer")).cloned()
    }
}

fn outcome(body: &[u8]) -> Option<PollOutcome> {
    match serde_json::from_slice(body).ok()? {
        Fact::Polled { outcome, .. } => Some(outcome),
        _ => None,
    }
}

/// The changes that a look writes.
#[derive(Default)]
struct Changed {
    mismatches: Vec<Mismatch>,
    steps: Vec<NewStep>,
    opened: Vec<NewCase>,
    closed: Vec<(Uuid, String)>,
    reviewed: Reviewed,
}

impl Changed {
    fn add(&mut self, reviewer: &Reviewer<'_>, held: Mismatch, next: Next) {
        let now = reviewer.now;
        self.reviewed.seen += 1;
        let was = held.state.clone();
        let mut it = Mismatch { look_at: Some(next_look(&held, now)), ..held };
        let Some(reason) = self.change(reviewer, &mut it, next) else { return self.mismatches.push(it) };
        it.updated_at = now;
        self.steps.push(step(&it, Some(was), reason));
        self.mismatches.push(it);
    }

    /// Why the mismatch changes. None: it stays as it is.
    fn change(&mut self, reviewer: &Reviewer<'_>, it: &mut Mismatch, next: Next) -> Option<String> {
        match next {
            Next::Keep => None,
            Next::Settled(why) => {
                self.reviewed.settled += 1;
                end(it, MismatchState::Settled);
                self.closed.extend(it.case_id.map(|case| (case, why.clone())));
                Some(why)
            }
            Next::Linked(case, class) => {
                self.reviewed.cases += 1;
                link(it, &case, class);
                Some("the fact contradicts the opening's answer".to_owned())
            }
            Next::Case(found) => {
                self.reviewed.cases += 1;
                self.open(reviewer, it, &found);
                Some(found.suggested.because.join("; "))
            }
            Next::Other(found) => {
                let state = if let Act::Wait { until } = found.act {
                    it.due_at = Some(until);
                    MismatchState::Waiting
                } else {
                    MismatchState::Applied
                };
                take(it, &found, state);
                Some(found.suggested.because.join("; "))
            }
        }
    }

    fn open(&mut self, reviewer: &Reviewer<'_>, it: &mut Mismatch, found: &Finding) {
        take(it, found, MismatchState::Case);
        let opened = case_of(reviewer.ids.next(), it, reviewer.now);
        self.closed.extend(it.case_id.map(|case| (case, "another class".to_owned())));
        it.case_id = Some(opened.id);
        self.opened.push(opened);
    }

    async fn write(self, connection: &mut PgConnection, sinks: &[String], now: Time) -> sqlx::Result<()> {
        for (case, why) in &self.closed {
            cases::close(connection, &[*case], RECONCILIATION, why, now).await?;
        }
        cases::insert_of_reports(connection, &self.opened, now).await?;
        mismatches::write(connection, &self.mismatches, &[]).await?;
        mismatches::append_steps(connection, &self.steps, now).await?;
        events::cases_opened(connection, sinks, &self.opened, now).await
    }
}

/// Looks come further apart the longer nothing happens.
fn next_look(it: &Mismatch, now: Time) -> Time {
    let next = now + (now - it.updated_at).clamp(SOON, SELDOM);
    it.due_at.filter(|due| *due > now).map_or(next, |due| next.min(due))
}

/// `decide` has opened the case; a person may have closed it already.
fn link(it: &mut Mismatch, case: &Contradiction, class: Class) {
    it.case_id = Some(case.id);
    it.class = class.to_string();
    if case.is_open {
        it.state = MismatchState::Case.to_string();
    } else {
        end(it, MismatchState::Resolved);
    }
}

fn end(it: &mut Mismatch, state: MismatchState) {
    it.state = state.to_string();
    it.due_at = None;
    it.look_at = None;
}

fn take(it: &mut Mismatch, found: &Finding, state: MismatchState) {
    it.class = found.class.to_string();
    it.state = state.to_string();
    it.ours.clone_from(&found.ours);
    it.theirs.clone_from(&found.theirs);
    it.differences = serde_json::to_value(&found.differences).unwrap_or_default();
    it.suggested = serde_json::to_value(&found.suggested).unwrap_or_default();
    if state == MismatchState::Case {
        it.due_at = None;
    }
}

fn case_of(id: Uuid, it: &Mismatch, now: Time) -> NewCase {
    NewCase {
        id,
        opening_id: it.opening_id,
        kind: it.class.to_ascii_lowercase(),
        cause: format!("{}:{}", it.id, now.timestamp_micros()),
        ours: it.ours.clone(),
        theirs: it.theirs.clone(),
    }
}
