//! Brings mismatches and their cases to what a judgement says.
//!
//! Behind the locks of the mismatches in the order of their keys. A finding that is known already adds only the row that says it
//! again; one that is gone settles its mismatch and closes its case.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Charges, Versions, row};
use crate::clock::{Ids, Time};
use crate::db::cases::{self, NewCase};
use crate::db::charge_lines::{ChargeLine, Key};
use crate::db::mismatches::{self, Link, Mismatch, NewStep};
use crate::reconciliation::classify::charges::Judged;
use crate::reconciliation::classify::{Act, Finding, MismatchState};
use crate::reconciliation::events;
use crate::reconciliation::resolve::{RECONCILIATION, SELDOM, step};
use crate::report_files::row::{ChargeRow, ChargeType, Kind};

/// The result that must be recorded about a subject and aspect.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// None: the two sides agree.
    /// In a box: nearly all rows agree, and take no room for one.
    pub finding: Option<Box<Finding>>,
    pub opening_id: Option<Uuid>,
    pub provider_reference: Option<String>,
    /// The report and the line of the row that is judged.
    pub said: Option<(Uuid, i64)>,
    pub as_of: Option<Time>,
    pub reason: &'static str,
}

impl Desired {
    /// The results of a line. A charge for a fee ends the fee's absence too.
    pub fn of(line: &ChargeLine, judged: &Judged) -> Vec<(Key, Self)> {
        let of_line = Self {
            finding: judged.finding.clone().map(Box::new),
            opening_id: line.opening_id,
            provider_reference: judged.finding.as_ref().and_then(|_| row(line)?.provider_reference),
            said: Some((line.report_id, line.line)),
            as_of: Some(line.as_of),
            reason: judged.rule,
        };
        let key = match &judged.finding {
            Some(finding) => (finding.subject.clone(), finding.aspect.to_owned()),
            None => key(&line.line_id, &line.line_type, line.settlement_id.as_deref()),
        };
        let mut all = vec![(key, of_line)];
        if let (Some(opening), true) = (line.opening_id, line.line_type == ChargeType::Charge.as_str()) {
            let charged = Self { reason: "a line charges the fee", ..Self::default() };
            all.push(((format!("{opening}:{}", line.code), "fee".to_owned()), charged));
        }
        all
    }
}

/// The mismatch that a row may be part of.
pub(super) fn key_of(row: &ChargeRow) -> Key {
    key(&row.line_id, row.line_type.as_str(), row.settlement_id.as_deref())
}

fn key(line_id: &str, line_type: &str, settlement: Option<&str>) -> Key {
    match settlement {
        Some(id) if line_type == ChargeType::Settlement.as_str() => (id.to_owned(), "settlement".to_owned()),
        _ => (line_id.to_owned(), "charge".to_owned()),
    }
}

/// The subject of the mismatches, and what changes them.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub ids: &'a Ids,
    /// The names of the sinks that are told of cases.
    pub sinks: &'a [String],
    pub provider: &'a str,
    pub kind: Kind,
    pub now: Time,
    /// The report that is applied.
    pub report: Option<Uuid>,
}

/// Collects what must be said, and writes what differs.
pub struct Findings<'a> {
    about: About<'a>,
    desired: BTreeMap<Key, Desired>,
    /// Rows by the mismatch that they are part of, if it is one.
    said: BTreeMap<Key, Vec<(Uuid, i64)>>,
}

#[derive(Default)]
struct Changed {
    mismatches: Vec<Mismatch>,
    steps: Vec<NewStep>,
    links: Vec<Link>,
    opened: Vec<NewCase>,
    /// Cases by the reason for closing them.
    closed: BTreeMap<String, Vec<Uuid>>,
}

impl Changed {
    fn close(&mut self, case: Option<Uuid>, why: &str) {
        if let Some(case) = case {
            self.closed.entry(why.to_owned()).or_default().push(case);
        }
    }
}

impl<'a> Findings<'a> {
    pub fn new(charges: &'a Charges) -> Self {
        Self::about(About {
            ids: &charges.ids,
            sinks: &charges.sinks,
            provider: &charges.provider,
            kind: Kind::Charges,
            now: charges.rules.now,
            report: charges.report,
        })
    }

    pub const fn about(about: About<'a>) -> Self {
        Self { about, desired: BTreeMap::new(), said: BTreeMap::new() }
    }

    pub fn add(&mut self, desired: Vec<(Key, Desired)>) {
        self.desired.extend(desired);
    }

    /// A line that was part of another mismatch, as a settlement is, says nothing about it any more.
    pub(super) fn leave(&mut self, versions: &Versions) {
        let of = |it: &ChargeLine| key(&it.line_id, &it.line_type, it.settlement_id.as_deref());
        let now: HashMap<&str, Key> = versions.lines.iter().map(|it| (it.line_id.as_str(), of(it))).collect();
        for before in &versions.before {
            if now.get(before.line_id.as_str()).is_some_and(|now| *now != of(before)) {
                let left = Desired { reason: "the line is of another type now", ..Desired::default() };
                self.add(vec![(of(before), left)]);
            }
        }
    }

    /// Adds a row to the mismatch that it is part of, if there is one.
    pub fn say(&mut self, key: Key, report: Uuid, line: i64) {
        self.said.entry(key).or_default().push((report, line));
    }

    /// Locks all mismatches at once, in the order of their keys: see `charge_lines::lock` for what comes before.
    pub async fn write(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let keys: BTreeSet<&Key> = self.desired.keys().chain(self.said.keys()).collect();
        let held = self.lock(connection, keys.into_iter().cloned().collect()).await?;
        let mut ids: HashMap<Key, Uuid> = held.iter().map(|(key, it)| (key.clone(), it.id)).collect();
        let mut held = held;
        let mut changed = Changed::default();
        for (key, desired) in &self.desired {
            self.one(&mut changed, key, held.remove(key), desired);
        }
        ids.extend(changed.mismatches.iter().map(|it| ((it.subject.clone(), it.aspect.clone()), it.id)));
        for (key, rows) in &self.said {
            let id = ids.get(key).copied();
            changed.links.extend(id.into_iter().flat_map(|id| rows.iter().map(move |row| (id, row.0, row.1))));
        }
        self.store(connection, changed).await
    }

    async fn store(&self, connection: &mut PgConnection, changed: Changed) -> sqlx::Result<()> {
        let now = self.about.now;
        for (why, ids) in &changed.closed {
            cases::close(connection, ids, RECONCILIATION, why, now).await?;
        }
        cases::insert_of_reports(connection, &changed.opened, now).await?;
        mismatches::write(connection, &changed.mismatches, &changed.links).await?;
        mismatches::append_steps(connection, &changed.steps, now).await?;
        events::cases_opened(connection, self.about.sinks, &changed.opened, now).await
    }

    async fn lock(&self, connection: &mut PgConnection, keys: Vec<Key>) -> sqlx::Result<HashMap<Key, Mismatch>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let held = mismatches::lock(connection, self.about.provider, self.about.kind.as_str(), &keys).await?;
        Ok(held.into_iter().map(|it| ((it.subject.clone(), it.aspect.clone()), it)).collect())
    }

    fn one(&self, changed: &mut Changed, key: &Key, held: Option<Mismatch>, desired: &Desired) {
        match (&desired.finding, held) {
            (None, Some(held)) if held.look_at.is_some() => self.settle(changed, held, desired),
            (None, _) => {}
            (Some(finding), Some(held)) if is_decided(&held, finding) => {
                changed.links.extend(desired.said.map(|(report, line)| (held.id, report, line)));
            }
            (Some(finding), Some(held)) if is_known(&held, finding) => {
                changed.links.extend(desired.said.map(|(report, line)| (held.id, report, line)));
                self.keep(changed, held, finding);
            }
            (Some(finding), held) => self.find(changed, key, held, desired, finding),
        }
    }

    fn settle(&self, changed: &mut Changed, held: Mismatch, desired: &Desired) {
        let (was, why) = (held.state.clone(), self.because(desired.reason));
        changed.close(held.case_id, &why);
        let settled = Mismatch {
            state: MismatchState::Settled.to_string(),
            due_at: None,
            look_at: None,
            updated_at: self.about.now,
            ..held
        };
        changed.links.extend(desired.said.map(|(report, line)| (settled.id, report, line)));
        changed.steps.push(step(&settled, Some(was), why));
        changed.mismatches.push(settled);
    }

    /// The reason for a change: the report that is applied, else that a step or time did it.
    fn because(&self, reason: &str) -> String {
        let cause = self.about.report.map_or_else(|| "judged again".to_owned(), |id| format!("report {id}"));
        format!("{cause}: {reason}")
    }

    /// The mismatch may wait for something else now; its class and its case stay.
    fn keep(&self, changed: &mut Changed, held: Mismatch, finding: &Finding) {
        let is_waiting = held.state == MismatchState::Waiting.as_str();
        let due_at = if is_waiting { due_at(finding) } else { held.due_at };
        let kept = Mismatch { due_at, look_at: Some(self.look_at(finding)), ..held };
        changed.mismatches.push(described(kept, finding));
    }

    fn find(&self, changed: &mut Changed, key: &Key, held: Option<Mismatch>, desired: &Desired, finding: &Finding) {
        let now = self.about.now;
        let was = held.as_ref().map(|it| it.state.clone());
        let replaced = held.as_ref().filter(|it| it.look_at.is_some()).and_then(|it| it.case_id);
        changed.close(replaced, &self.because("another difference is found"));
        let state = match finding.act {
            Act::Case => MismatchState::Case,
            Act::Settle => MismatchState::Settled,
            Act::Wait { .. } | Act::Fact | Act::Poll => MismatchState::Waiting,
        };
        let id = held.as_ref().map_or_else(|| self.about.ids.next(), |it| it.id);
        let case = (state == MismatchState::Case).then(|| self.case(id, desired, finding));
        let found = Mismatch {
            id,
            provider: self.about.provider.to_owned(),
            kind: self.about.kind.to_string(),
            subject: key.0.clone(),
            aspect: key.1.clone(),
            class: finding.class.to_string(),
            state: state.to_string(),
            due_at: due_at(finding),
            opening_id: desired.opening_id,
            market: finding.ours["market"].as_str().map(ToOwned::to_owned),
            provider_reference: desired.provider_reference.clone(),
            ours: serde_json::Value::Null,
            theirs: serde_json::Value::Null,
            differences: serde_json::Value::Null,
            suggested: serde_json::Value::Null,
            evidence: None,
            as_of: desired.as_of,
            fact_id: None,
            case_id: case.as_ref().map(|it| it.id),
            look_at: (state != MismatchState::Settled).then(|| self.look_at(finding)),
            created_at: held.map_or(now, |it| it.created_at),
            updated_at: now,
        };
        changed.links.extend(desired.said.map(|(report, line)| (id, report, line)));
        changed.steps.push(step(&found, was, finding.suggested.because.join("; ")));
        changed.opened.extend(case);
        changed.mismatches.push(described(found, finding));
    }

    fn look_at(&self, finding: &Finding) -> Time {
        let seldom = self.about.now + SELDOM;
        due_at(finding).map_or(seldom, |due| due.min(seldom))
    }

    fn case(&self, mismatch: Uuid, desired: &Desired, finding: &Finding) -> NewCase {
        let id = self.about.ids.next();
        NewCase {
            id,
            opening_id: desired.opening_id,
            kind: finding.class.case_kind(),
            cause: format!("{mismatch}:{id}"),
            ours: finding.ours.clone(),
            theirs: finding.theirs.clone(),
        }
    }
}

/// A person has decided about this very difference, or it was settled at once.
fn is_decided(held: &Mismatch, finding: &Finding) -> bool {
    let settled_at_once = finding.act == Act::Settle && held.state == MismatchState::Settled.as_str();
    let is_over = held.state == MismatchState::Resolved.as_str() || settled_at_once;
    is_over && held.class == finding.class.as_str() && is_same(held, finding)
}

/// The mismatch stands where the finding would put it, or with a person already. A person sees one difference; another one is
/// another case.
fn is_known(held: &Mismatch, finding: &Finding) -> bool {
    let is_case = held.state == MismatchState::Case.as_str();
    let stands = match finding.act {
        Act::Wait { .. } => is_case || held.state == MismatchState::Waiting.as_str(),
        _ => is_case && is_same(held, finding),
    };
    held.class == finding.class.as_str() && stands
}

fn is_same(held: &Mismatch, finding: &Finding) -> bool {
    held.theirs == finding.theirs && Some(&held.differences) == serde_json::to_value(&finding.differences).ok().as_ref()
}

fn due_at(finding: &Finding) -> Option<Time> {
    match finding.act {
        Act::Wait { until } => Some(until),
        _ => None,
    }
}

fn described(mismatch: Mismatch, finding: &Finding) -> Mismatch {
    Mismatch {
        ours: finding.ours.clone(),
        theirs: finding.theirs.clone(),
        differences: serde_json::to_value(&finding.differences).unwrap_or_default(),
        suggested: serde_json::to_value(&finding.suggested).unwrap_or_default(),
        ..mismatch
    }
}
