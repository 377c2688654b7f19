//! Brings mismatches and their cases to what a judgement says.
//!
//! Behind the locks of the mismatches in the order of their keys. A finding that is known already adds only the row that says it
//! again; one that is gone settles its mismatch and closes its case.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Charges;
use crate::clock::Time;
use crate::db::cases::{self, NewCase};
use crate::db::charge_lines::{ChargeLine, Key};
use crate::db::mismatches::{self, Link, Mismatch, NewStep};
use crate::reconciliation::classify::charges::Judged;
use crate::reconciliation::classify::{Act, Finding, MismatchState};
use crate::reconciliation::events;
use crate::reconciliation::normalise::row::{ChargeType, Kind};
use crate::reconciliation::resolve::RECONCILIATION;

/// How often an open mismatch is judged again without a new row: the opening may come to agree.
const SELDOM: TimeDelta = TimeDelta::minutes(15);

/// What must be said about a subject and aspect.
#[derive(Clone, Debug, Default)]
pub(super) struct Desired {
    /// None: the two sides agree.
    pub finding: Option<Finding>,
    pub opening_id: Option<Uuid>,
    pub provider_reference: Option<String>,
    /// The report and the row's line that say it.
    pub said: Option<(Uuid, i64)>,
    pub as_of: Option<Time>,
    pub reason: &'static str,
}

impl Desired {
    /// What a line came to. A charge for a fee ends the fee's absence too.
    pub fn of(line: &ChargeLine, judged: &Judged) -> Vec<(Key, Self)> {
        let of_line = Self {
            finding: judged.finding.clone(),
            opening_id: line.opening_id,
            provider_reference: line.content["provider_reference"].as_str().map(ToOwned::to_owned),
            said: Some((line.report_id, line.line)),
            as_of: Some(line.as_of),
            reason: judged.rule,
        };
        let key = match (&judged.finding, &line.settlement_id) {
            (Some(finding), _) => (finding.subject.clone(), finding.aspect.to_owned()),
            (None, Some(id)) if line.line_type == ChargeType::Settlement.as_str() => {
                (id.clone(), "settlement".to_owned())
            }
            (None, _) => (line.line_id.clone(), "charge".to_owned()),
        };
        let mut all = vec![(key, of_line)];
        if let (Some(opening), true) = (line.opening_id, line.line_type == ChargeType::Charge.as_str()) {
            let charged = Self { reason: "a line charges the fee", ..Self::default() };
            all.push(((format!("{opening}:{}", line.code), "fee".to_owned()), charged));
        }
        all
    }
}

/// Collects what must be said, and writes what differs.
pub(super) struct Findings<'a> {
    charges: &'a Charges,
    desired: BTreeMap<Key, Desired>,
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
    /// The reason names the report, or the step that came meanwhile.
    fn close(&mut self, case: Option<Uuid>, desired: &Desired) {
        let why = desired.said.map_or_else(|| desired.reason.to_owned(), |(report, _)| format!("report {report}"));
        if let Some(case) = case {
            self.closed.entry(why).or_default().push(case);
        }
    }
}

impl<'a> Findings<'a> {
    pub const fn new(charges: &'a Charges) -> Self {
        Self { charges, desired: BTreeMap::new() }
    }

    pub fn add(&mut self, desired: Vec<(Key, Desired)>) {
        self.desired.extend(desired);
    }

    pub async fn write(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let mut held = self.lock(connection, self.desired.keys().cloned().collect()).await?;
        let mut changed = Changed::default();
        for (key, desired) in &self.desired {
            self.one(&mut changed, key, held.remove(key), desired);
        }
        let now = self.charges.rules.now;
        for (why, ids) in &changed.closed {
            cases::close(connection, ids, RECONCILIATION, why, now).await?;
        }
        cases::insert_of_reports(connection, &changed.opened, now).await?;
        mismatches::write(connection, &changed.mismatches).await?;
        mismatches::link(connection, &changed.links).await?;
        mismatches::append_steps(connection, &changed.steps, now).await?;
        events::cases_opened(connection, &self.charges.sinks, &changed.opened, now).await
    }

    /// Adds rows to the mismatches of their lines.
    pub async fn link(self, connection: &mut PgConnection, said: &[(String, Uuid, i64)]) -> sqlx::Result<()> {
        let keys = said.iter().map(|it| (it.0.clone(), "charge".to_owned())).collect();
        let held = self.lock(connection, keys).await?;
        let link =
            |it: &(String, Uuid, i64)| held.get(&(it.0.clone(), "charge".to_owned())).map(|held| (held.id, it.1, it.2));
        let links: Vec<Link> = said.iter().filter_map(link).collect();
        mismatches::link(connection, &links).await
    }

    async fn lock(&self, connection: &mut PgConnection, keys: Vec<Key>) -> sqlx::Result<HashMap<Key, Mismatch>> {
        let held = mismatches::lock(connection, &self.charges.provider, Kind::Charges.as_str(), &keys).await?;
        Ok(held.into_iter().map(|it| ((it.subject.clone(), it.aspect.clone()), it)).collect())
    }

    fn one(&self, changed: &mut Changed, key: &Key, held: Option<Mismatch>, desired: &Desired) {
        match (&desired.finding, held) {
            (None, Some(held)) if held.look_at.is_some() => self.settle(changed, held, desired),
            (None, _) => {}
            (Some(finding), Some(held)) if is_known(&held, finding) => {
                changed.links.extend(desired.said.map(|(report, line)| (held.id, report, line)));
                self.keep(changed, held, finding);
            }
            (Some(finding), held) => self.find(changed, key, held, desired, finding),
        }
    }

    fn settle(&self, changed: &mut Changed, held: Mismatch, desired: &Desired) {
        let was = held.state.clone();
        changed.close(held.case_id, desired);
        let settled = Mismatch {
            state: MismatchState::Settled.to_string(),
            due_at: None,
            look_at: None,
            updated_at: self.charges.rules.now,
            ..held
        };
        changed.links.extend(desired.said.map(|(report, line)| (settled.id, report, line)));
        changed.steps.push(step(&settled, Some(was), desired.reason.to_owned()));
        changed.mismatches.push(settled);
    }

    /// The amounts may have changed; the class and its case stay.
    fn keep(&self, changed: &mut Changed, held: Mismatch, finding: &Finding) {
        let look_at = held.look_at.map(|_| self.look_at(finding));
        let due_at = if look_at.is_some() { due_at(finding) } else { held.due_at };
        let kept = Mismatch { due_at, look_at, ..held };
        changed.mismatches.push(described(kept, finding));
    }

    fn find(&self, changed: &mut Changed, key: &Key, held: Option<Mismatch>, desired: &Desired, finding: &Finding) {
        let now = self.charges.rules.now;
        let was = held.as_ref().map(|it| it.state.clone());
        changed.close(held.as_ref().filter(|it| it.look_at.is_some()).and_then(|it| it.case_id), desired);
        let state = match finding.act {
            Act::Case => MismatchState::Case,
            Act::Settle => MismatchState::Settled,
            Act::Wait { .. } | Act::Fact | Act::Poll => MismatchState::Waiting,
        };
        let id = held.as_ref().map_or_else(|| self.charges.ids.next(), |it| it.id);
        let case = (state == MismatchState::Case).then(|| self.case(id, desired, finding));
        let found = Mismatch {
            id,
            provider: self.charges.provider.clone(),
            kind: Kind::Charges.to_string(),
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
        let seldom = self.charges.rules.now + SELDOM;
        due_at(finding).map_or(seldom, |due| due.min(seldom))
    }

    fn case(&self, mismatch: Uuid, desired: &Desired, finding: &Finding) -> NewCase {
        NewCase {
            id: self.charges.ids.next(),
            opening_id: desired.opening_id,
            kind: finding.class.case_kind(),
            cause: format!("{mismatch}:{}", self.charges.rules.now.timestamp_micros()),
            ours: finding.ours.clone(),
            theirs: finding.theirs.clone(),
        }
    }
}

/// An open mismatch of the class, or one that was settled at once or decided by a person.
fn is_known(held: &Mismatch, finding: &Finding) -> bool {
    let is_decided = held.state == MismatchState::Resolved.as_str() || finding.act == Act::Settle;
    held.class == finding.class.as_str() && (held.look_at.is_some() || is_decided)
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

fn step(next: &Mismatch, from: Option<String>, reason: String) -> NewStep {
    NewStep {
        mismatch_id: next.id,
        from_state: from,
        to_state: next.state.clone(),
        class: next.class.clone(),
        by: RECONCILIATION.to_owned(),
        reason,
    }
}
