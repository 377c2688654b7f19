//! Decisions about the provider's reports: webhook, poll answer, list item, report row or submission answer.

use serde_json::{Value, json};

use super::draft::Draft;
use super::{LOOK_AGAIN, LOOK_AGAIN_CAP};
use crate::clock::Time;
use crate::domain::bank::{Bic, Iban, compact};
use crate::domain::effect::{CaseKind, Outcome};
use crate::domain::event::{Report, Verdict};
use crate::domain::ids::ProviderRef;
use crate::domain::opening::{Account, Ending, State, Status, Wait};

impl Draft<'_> {
    /// The provider accepted our submission. Its tracking id is saved even if the rest of the answer is unusable.
    pub fn submission_accepted(&mut self, report: &Report) {
        if self.mismatch(report) {
            return;
        }
        match &self.opening.state {
            State::RequestingAccount { .. } => {
                if self.accept(report) && report.verdict != Verdict::Unknown {
                    self.waiting(report, None);
                }
            }
            State::CreatingProfile => self.outcome = Outcome::Parked,
            _ if matches!(report.verdict, Verdict::Completed | Verdict::Rejected) => self.reported(report, None),
            _ => self.outcome = Outcome::Superseded,
        }
    }

    /// Decides a report about this opening. `polled` is the time of the poll that brought it, if a poll did.
    pub fn reported(&mut self, report: &Report, polled: Option<Time>) {
        if self.mismatch(report) {
            self.poll_again_or_escalate(polled);
            return;
        }
        if report.verdict == Verdict::Unknown {
            self.unknown(report);
            self.poll_again_or_escalate(polled);
            return;
        }
        match &self.opening.state {
            // The report precedes our own submission: parked until the submission is made.
            State::CreatingProfile => self.outcome = Outcome::Parked,
            State::RequestingAccount { .. } => {
                if self.accept(report) {
                    self.waiting(report, polled);
                }
            }
            State::AwaitingProvider(_) | State::Escalated(_) => self.waiting(report, polled),
            State::IssuingCard(_) | State::Completed(..) => self.after_account(report),
            State::Rejected(_) | State::Failed(_) => self.after_ending(report),
            State::Erased(_) => self.outcome = Outcome::Superseded,
        }
    }

    /// Records a status word that the adapter does not know. The opening does not move, and the next poll keeps its
    /// time.
    fn unknown(&mut self, report: &Report) {
        self.outcome = Outcome::Unknown;
        if self.opening.state_name().status() == Status::InProgress {
            self.record_status(&report.word);
        }
    }

    /// Handles a poll that failed: no usable answer.
    pub fn poll_without_answer(&mut self, asked_at: Time) {
        self.outcome = Outcome::Superseded;
        if matches!(self.opening.state, State::AwaitingProvider(_) | State::Escalated(_)) {
            self.outcome = Outcome::Recorded;
            self.poll_again_or_escalate(Some(asked_at));
        }
    }

    /// Opens a case if tracking id or our reference names another opening. Returns whether it did.
    fn mismatch(&mut self, report: &Report) -> bool {
        let id = self.opening.id.to_string();
        let held = self.opening.state.reference();
        let second = match (held, &report.reference) {
            (Some(held), Some(said)) if held != said => Some(said.to_string()),
            _ => None,
        };
        let foreign = report.our_name().filter(|said| *said != id);
        let ours = json!({"reference": id, "provider_reference": held});
        let theirs = json!({"reference": report.our_reference, "provider_reference": report.reference});
        match (second, foreign) {
            (_, Some(foreign)) => {
                let cause = format!("{}|{foreign}", report.reference.as_ref().map_or("", |it| it.as_str()));
                self.conflict(CaseKind::CorrelationMismatch, cause, ours, theirs);
                true
            }
            (Some(second), None) => {
                self.conflict(CaseKind::SecondReference, second, ours, theirs);
                true
            }
            (None, None) => false,
        }
    }

    /// Saves the tracking id and starts the wait: a correlated status proves that the provider accepted the request.
    fn accept(&mut self, report: &Report) -> bool {
        let State::RequestingAccount { profile, .. } = &self.opening.state else { return false };
        let profile = profile.clone();
        let Some(reference) = report.reference.clone() else {
            if report.verdict == Verdict::Rejected {
                // A final refusal ends the opening even if the request never had a tracking id.
                self.rejected(report);
            } else {
                // Without a tracking id the wait cannot start: parked until the submission is answered.
                self.outcome = Outcome::Parked;
            }
            return false;
        };
        if !self.is_free(&reference) {
            return false;
        }
        self.record_status(&report.word);
        self.enter(State::AwaitingProvider(Wait { profile, reference }), None);
        true
    }

    /// Whether no other opening holds the tracking id; otherwise opens a case.
    pub fn is_free(&mut self, reference: &ProviderRef) -> bool {
        let Some(holder) = self.event.knowledge.reference_holder else { return true };
        let (ours, theirs) = (self.ours(), json!({"provider_reference": reference, "held_by": holder}));
        self.conflict(CaseKind::ReferenceHeldElsewhere, reference.to_string(), ours, theirs);
        false
    }

    /// Decides a report while the opening waits, before or after the deadline.
    fn waiting(&mut self, report: &Report, polled: Option<Time>) {
        match report.verdict {
            Verdict::Completed => self.completed(report, polled),
            Verdict::Rejected => self.rejected(report),
            Verdict::Started | Verdict::Pending => {
                if report.verdict == Verdict::Pending || self.opening.provider_status.is_none() {
                    self.record_status(&report.word);
                }
                self.settle_as(Outcome::Recorded);
                self.poll_again_or_escalate(polled);
                self.keep_next_poll_near(polled);
            }
            Verdict::Unknown => self.unknown(report),
        }
    }

    /// Sets the outcome, but keeps `applied` if the fact has already moved the opening.
    fn settle_as(&mut self, outcome: Outcome) {
        if self.outcome != Outcome::Applied {
            self.outcome = outcome;
        }
    }

    /// Keeps the next poll within one interval: a webhook without a final answer never postpones it.
    fn keep_next_poll_near(&mut self, polled: Option<Time>) {
        if polled.is_none() && matches!(self.opening.state, State::AwaitingProvider(_)) {
            let next = self.next_interval();
            self.opening.due_at = Some(self.opening.due_at.map_or(next, |due| due.min(next)));
        }
    }

    fn completed(&mut self, report: &Report, polled: Option<Time>) {
        let (State::AwaitingProvider(wait) | State::Escalated(wait)) = &self.opening.state else { return };
        let wait = wait.clone();
        self.record_status(&report.word);
        if let Some((iban, bic)) = self.usable_account(report.iban.as_deref(), report.bic.as_deref()) {
            self.enter(State::IssuingCard(Account { wait, iban, bic }), None);
            return;
        }
        if self.outcome != Outcome::Conflict {
            self.opening.account_due_since.get_or_insert(self.now);
        }
        if polled.is_some() {
            self.poll_again_or_escalate(polled);
        } else {
            // A thin webhook: the provider has decided but sent no account. The poller fetches it now.
            self.poll_now();
        }
    }

    /// The account that a completion names, if valid. An invalid or foreign value opens a case.
    pub fn usable_account(&mut self, iban: Option<&str>, bic: Option<&str>) -> Option<(Iban, Bic)> {
        self.settle_as(Outcome::Recorded);
        let iban = self.checked(iban, CaseKind::InvalidIban, "iban", Iban::parse);
        let bic = self.checked(bic, CaseKind::InvalidBic, "bic", Bic::parse);
        let (iban, bic) = (iban?, bic?);
        if let Some(holder) = self.event.knowledge.iban_holder {
            let (ours, theirs) = (self.ours(), json!({"iban": iban, "held_by": holder}));
            self.conflict(CaseKind::IbanHeldElsewhere, iban.as_str().to_owned(), ours, theirs);
            return None;
        }
        Some((iban, bic))
    }

    fn checked<T, E: std::fmt::Display>(
        &mut self,
        raw: Option<&str>,
        kind: CaseKind,
        field: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        // White space alone counts as absent.
        let (raw, cause) = raw.map(|it| (it, compact(it))).filter(|(_, plain)| !plain.is_empty())?;
        match parse(raw) {
            Ok(value) => Some(value),
            Err(error) => {
                let theirs = json!({field: raw, "problem": error.to_string()});
                self.conflict(kind, cause, self.ours(), theirs);
                None
            }
        }
    }

    fn rejected(&mut self, report: &Report) {
        let profile = self.opening.state.profile().cloned();
        let reference = self.opening.state.reference().cloned();
        let reason = report.reason.clone().unwrap_or_else(|| "the provider gave no reason".to_owned());
        self.record_status(&report.word);
        self.enter(State::Rejected(Ending { profile, reference, reason }), None);
    }

    /// Schedules the next poll; after the last poll, escalates.
    fn poll_again_or_escalate(&mut self, polled: Option<Time>) {
        let Some(asked_at) = polled else { return };
        // A poll requested after this poll was sent is still due: this answer may be older than the change it was
        // requested for.
        let owed = self.opening.due_at.filter(|due| asked_at < *due && *due <= self.now);
        match &self.opening.state {
            State::AwaitingProvider(wait) if asked_at >= self.opening.deadline_at => {
                if self.event.knowledge.older_unread {
                    self.opening.due_at = Some(self.look_again());
                } else {
                    let wait = wait.clone();
                    self.escalate(wait);
                }
            }
            State::AwaitingProvider(_) => self.opening.due_at = Some(self.next_look()),
            // P36: the account of a completion is asked for until it comes, or until a person decides.
            State::Escalated(_) => self.opening.due_at = self.account_look(),
            _ => return,
        }
        self.opening.due_at = owed.or(self.opening.due_at);
    }

    /// The next poll: as scheduled, but sooner while the provider owes the account of a completion. Its event may have overtaken
    /// its own status API.
    fn next_look(&self) -> Time {
        self.account_look().into_iter().fold(self.next_interval(), Time::min)
    }

    /// The next look-up of an account that the provider owes, with back-off. None: it owes none.
    fn account_look(&self) -> Option<Time> {
        let due_since = self.opening.account_due_since?;
        Some(self.now + self.policy.look_again_after(self.now - due_since))
    }

    fn escalate(&mut self, wait: Wait) {
        let (outcome, account_due_since) = (self.outcome, self.opening.account_due_since);
        self.enter(State::Escalated(wait), Some("no final answer by the deadline".to_owned()));
        // A completion before the deadline stays owed after it.
        self.opening.account_due_since = account_due_since;
        self.opening.due_at = self.account_look();
        // The fact keeps the outcome `conflict` or `unknown`, so that the case or the unknown word stays visible on it.
        if matches!(outcome, Outcome::Conflict | Outcome::Unknown) {
            self.outcome = outcome;
        }
    }

    /// The time of the repeated last poll if an older fact was unread. The wait grows with the time since the deadline,
    /// so an unreadable fact does not cause a tight loop of calls.
    fn look_again(&self) -> Time {
        self.now + (self.now - self.opening.deadline_at).clamp(LOOK_AGAIN, LOOK_AGAIN_CAP)
    }

    /// The account exists. The same answer again is a duplicate, a different account or a refusal is a case, the rest
    /// is superseded.
    fn after_account(&mut self, report: &Report) {
        let theirs = json!({"status": report.word, "iban": report.iban, "bic": report.bic, "reason": report.reason});
        match report.verdict {
            Verdict::Rejected => self.contradicted("rejected", theirs),
            Verdict::Completed => self.completed_again(report.iban.as_deref(), report.bic.as_deref(), theirs),
            Verdict::Started | Verdict::Pending | Verdict::Unknown => self.outcome = Outcome::Superseded,
        }
    }

    /// The opening ended without an account. An account now is a case; so is a refusal if we had given up first.
    fn after_ending(&mut self, report: &Report) {
        let rejected = matches!(self.opening.state, State::Rejected(_));
        let theirs = json!({"status": report.word, "iban": report.iban, "bic": report.bic, "reason": report.reason});
        match report.verdict {
            Verdict::Completed => self.completed_again(report.iban.as_deref(), report.bic.as_deref(), theirs),
            Verdict::Rejected if rejected => self.outcome = Outcome::Duplicate,
            Verdict::Rejected => self.contradicted("rejected", theirs),
            _ => self.outcome = Outcome::Superseded,
        }
    }

    /// A second completion of a decided opening: the same account is a duplicate, a different account is a case.
    pub fn completed_again(&mut self, iban: Option<&str>, bic: Option<&str>, theirs: Value) {
        let Some(account) = self.opening.state.account().cloned() else {
            return self.contradicted("completed", theirs);
        };
        self.outcome = Outcome::Duplicate;
        let iban = self.checked(iban, CaseKind::InvalidIban, "iban", Iban::parse);
        let bic = bic.and_then(|raw| Bic::parse(raw).ok());
        // The cause contains only the differing value: the same other account, with a branch or without a BIC, is the
        // same disagreement.
        let other = match (&iban, &bic) {
            (Some(iban), _) if *iban != account.iban => Some(iban.as_str()),
            (Some(_), Some(bic)) if !bic.same_bank(&account.bic) => Some(bic.bank()),
            _ => None,
        };
        if let Some(other) = other {
            self.contradicted(&format!("completed|{other}"), theirs);
        }
    }

    /// Opens a case for an answer that differs from the saved one: one case per answer, from any source.
    pub fn contradicted(&mut self, cause: &str, theirs: Value) {
        self.conflict(CaseKind::ConflictingAnswer, cause.to_owned(), self.ours(), theirs);
    }
}
