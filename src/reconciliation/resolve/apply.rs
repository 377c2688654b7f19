//! A batch of findings becomes mismatches, facts, polls and cases.
//!
//! All in the caller's transaction, behind the locks of the mismatches in the order of their keys. A finding that is known already
//! adds only the row that says it again, so a repetition of files changes nothing.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RECONCILIATION, SELDOM, step};
use crate::clock::{Ids, Time};
use crate::db::advance::EffectContext;
use crate::db::cases::{self, NewCase};
use crate::db::inbox::{self, NewFact, Stored};
use crate::db::mismatches::{self, Mismatch, NewStep};
use crate::db::reports::Claimed;
use crate::domain::{Fact, Source};
use crate::inbox::fact;
use crate::reconciliation::classify::{Act, Class, Finding, MismatchState};
use crate::reconciliation::events;
use crate::report_files::row::{Kind, RegisterRow};

/// A finding, and where it is from.
#[derive(Clone, Debug)]
pub struct Found {
    pub finding: Finding,
    /// The row's line; 0 where a row is missing.
    pub line: i64,
    pub opening_id: Option<Uuid>,
    pub market: Option<String>,
    pub provider_reference: Option<String>,
    /// The row that says it.
    pub row: Option<RegisterRow>,
}

/// Writes the findings of a report.
pub struct Writer<'a> {
    pub ids: &'a Ids,
    /// The names of the sinks that are told of cases.
    pub sinks: &'a [String],
    pub report: Uuid,
    pub provider: &'a str,
    pub kind: Kind,
    pub as_of: Time,
    pub now: Time,
}

/// The changes that a batch makes.
#[derive(Default)]
struct Batch {
    mismatches: Vec<Mismatch>,
    steps: Vec<NewStep>,
    links: Vec<mismatches::Link>,
    facts: Vec<NewFact>,
    opened: Vec<NewCase>,
    closed: Vec<Uuid>,
}

impl<'a> Writer<'a> {
    #[must_use]
    pub fn of(context: &'a EffectContext, report: &'a Claimed, now: Time) -> Self {
        Self {
            ids: &context.ids,
            sinks: &context.sinks,
            report: report.id,
            provider: &report.provider,
            kind: report.kind.parse().unwrap_or(Kind::Register),
            as_of: report.as_of.unwrap_or(report.received_at),
            now,
        }
    }

    /// Returns how many facts were new to the inbox.
    pub async fn write(&self, connection: &mut PgConnection, found: Vec<Found>) -> sqlx::Result<usize> {
        let mut by_key = BTreeMap::new();
        for it in found {
            by_key.entry((it.finding.subject.clone(), it.finding.aspect.to_owned())).or_insert_with(Vec::new).push(it);
        }
        let keys: Vec<(String, String)> = by_key.keys().cloned().collect();
        let held = mismatches::lock(connection, self.provider, self.kind.as_str(), &keys).await?;
        let mut held: HashMap<(String, String), Mismatch> =
            held.into_iter().map(|it| ((it.subject.clone(), it.aspect.clone()), it)).collect();
        let mut batch = Batch::default();
        for (key, found) in by_key {
            self.judge(&mut batch, held.remove(&key), found);
        }
        self.store(connection, batch).await
    }

    async fn store(&self, connection: &mut PgConnection, mut batch: Batch) -> sqlx::Result<usize> {
        let stored = inbox::insert(connection, &batch.facts).await?;
        let ours = batch.facts.iter().zip(&stored).filter(|(_, stored)| **stored == Stored::New);
        let new: Vec<Uuid> = ours.map(|(fact, _)| fact.id).collect();
        let repeated: Vec<Uuid> = batch.facts.iter().map(|it| it.id).filter(|id| !new.contains(id)).collect();
        for it in &mut batch.mismatches {
            it.fact_id = it.fact_id.filter(|id| !repeated.contains(id));
        }
        let reason = format!("report {}", self.report);
        cases::close(connection, &batch.closed, RECONCILIATION, &reason, self.now).await?;
        cases::insert_of_reports(connection, &batch.opened, self.now).await?;
        mismatches::write(connection, &batch.mismatches, &batch.links).await?;
        mismatches::append_steps(connection, &batch.steps, self.now).await?;
        events::cases_opened(connection, self.sinks, &batch.opened, self.now).await?;
        Ok(new.len())
    }

    /// Several rows may say the same; the last of them is the evidence, and each final answer becomes a fact.
    fn judge(&self, batch: &mut Batch, held: Option<Mismatch>, mut found: Vec<Found>) {
        let id = held.as_ref().map_or_else(|| self.ids.next(), |it| it.id);
        batch.links.extend(found.iter().map(|it| (id, self.report, it.line)));
        let Some(last) = found.pop() else { return };
        let earlier = found.iter().filter(|it| it.finding.act == Act::Fact);
        batch.facts.extend(earlier.filter_map(|it| self.answer(it.opening_id?, it.row.as_ref()?, it.line)));
        match held {
            Some(held) if held.as_of.is_some_and(|as_of| as_of > self.as_of) => {}
            Some(held) if is_decided(&held, &last) => {}
            Some(held) if is_known(&held, &last) => self.said_again(batch, held, &last),
            held => self.change(batch, id, held, &last),
        }
    }

    /// The mismatch stays as it is; its evidence is the newest row. A fact that is new all the same is stored.
    fn said_again(&self, batch: &mut Batch, held: Mismatch, last: &Found) {
        if last.finding.act == Act::Fact {
            batch
                .facts
                .extend(last.opening_id.zip(last.row.as_ref()).and_then(|(id, row)| self.answer(id, row, last.line)));
        }
        let evidence = last.row.as_ref().map(to_json).or_else(|| held.evidence.clone());
        batch.mismatches.push(Mismatch { as_of: Some(self.as_of), evidence, ..held });
    }

    fn change(&self, batch: &mut Batch, id: Uuid, held: Option<Mismatch>, last: &Found) {
        let mut next = self.mismatch(id, held.as_ref(), last);
        self.act(batch, &mut next, last);
        let because = last.finding.suggested.because.join("; ");
        batch.steps.push(step(&next, held.as_ref().map(|it| it.state.clone()), because));
        // The case of the finding before is over.
        batch.closed.extend(held.and_then(|it| it.case_id));
        batch.mismatches.push(next);
    }

    fn mismatch(&self, id: Uuid, held: Option<&Mismatch>, found: &Found) -> Mismatch {
        let Finding { class, subject, aspect, ours, theirs, differences, suggested, act } = found.finding.clone();
        let (state, due_at, look_at) = match act {
            Act::Fact | Act::Poll => (MismatchState::Applied, None, self.now),
            Act::Case | Act::Settle => (MismatchState::Case, None, self.now + SELDOM),
            Act::Wait { until } => (MismatchState::Waiting, Some(until), until.min(self.now + SELDOM)),
        };
        Mismatch {
            id,
            provider: self.provider.to_owned(),
            kind: self.kind.to_string(),
            subject,
            aspect: aspect.to_owned(),
            class: class.to_string(),
            state: state.to_string(),
            due_at,
            opening_id: found.opening_id,
            market: found.market.clone(),
            provider_reference: found.provider_reference.clone(),
            ours,
            theirs,
            differences: to_json(&differences),
            suggested: to_json(&suggested),
            evidence: found.row.as_ref().map(to_json),
            as_of: Some(self.as_of),
            fact_id: None,
            case_id: None,
            look_at: Some(look_at),
            created_at: held.map_or(self.now, |it| it.created_at),
            updated_at: self.now,
        }
    }

    /// Adds the fact, poll or case that the finding asks for.
    fn act(&self, batch: &mut Batch, next: &mut Mismatch, found: &Found) {
        match (found.finding.act, found.opening_id) {
            (Act::Fact, Some(opening)) => {
                let fact = found.row.as_ref().and_then(|row| self.answer(opening, row, found.line));
                next.fact_id = fact.as_ref().map(|it| it.id);
                batch.facts.extend(fact);
            }
            (Act::Poll, Some(opening)) => batch.facts.push(self.poll(opening, found.line)),
            (Act::Case, _) => {
                let case = self.case(next, found);
                next.case_id = Some(case.id);
                batch.opened.push(case);
            }
            _ => {}
        }
    }

    /// None: the tracking id is no legal one, and no fact can name it.
    fn answer(&self, opening: Uuid, row: &RegisterRow, line: i64) -> Option<NewFact> {
        let report = row.report();
        report.reference.as_ref()?;
        let fact = Fact::Reported { report: report.clone() };
        let decided = row.decided_at.map(|it| it.to_rfc3339()).unwrap_or_default();
        // The content stands in the key too: a revised row is another fact, and no conflict of ids.
        let key = format!("report:{}:{}:{decided}:{}", row.provider_reference, row.status, fact::short_digest(&report));
        Some(self.fact(opening, &key, &fact, line, Some(row.provider_reference.clone())))
    }

    fn poll(&self, opening: Uuid, line: i64) -> NewFact {
        self.fact(opening, &format!("report-poll:{}:{opening}", self.report), &Fact::PollRequested, line, None)
    }

    fn fact(&self, opening: Uuid, key: &str, fact: &Fact, line: i64, provider_ref: Option<String>) -> NewFact {
        let key = fact::event_key(key);
        let new = fact::ours(self.ids, Source::Report, self.provider, key, opening, fact, self.now);
        NewFact { headers: json!({"report": self.report, "line": line}).to_string(), provider_ref, ..new }
    }

    fn case(&self, mismatch: &Mismatch, found: &Found) -> NewCase {
        NewCase {
            id: self.ids.next(),
            opening_id: found.opening_id,
            kind: found.finding.class.case_kind(),
            cause: format!("{}:{}", mismatch.id, self.report),
            ours: mismatch.ours.clone(),
            theirs: mismatch.theirs.clone(),
        }
    }
}

/// A person decided about this very difference.
fn is_decided(held: &Mismatch, found: &Found) -> bool {
    held.state == MismatchState::Resolved.as_str()
        && held.class == found.finding.class.as_str()
        && held.differences == to_json(&found.finding.differences)
}

/// The mismatch stands where the finding would put it, or with a person already.
fn is_known(held: &Mismatch, found: &Found) -> bool {
    let state = match found.finding.act {
        Act::Fact | Act::Poll => MismatchState::Applied,
        Act::Case | Act::Settle => MismatchState::Case,
        Act::Wait { .. } => MismatchState::Waiting,
    };
    let stands = held.state == state.as_str() || held.state == MismatchState::Case.as_str();
    held.class == found.finding.class.as_str() && held.look_at.is_some() && stands
}

/// Our own types always serialise.
fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The classes for which `decide` opens the case.
pub(super) fn is_decided_by_facts(class: &str) -> bool {
    [Class::MissedAnswer, Class::StatusMismatch, Class::IbanMismatch].iter().any(|it| it.as_str() == class)
}
