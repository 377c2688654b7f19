//! Ours beside theirs: what we hold about an opening, what the provider said by which way, where the two contradict each other, and
//! what a person does about it.

use super::bank::{Bic, compact};
use super::effect::CaseKind;
use super::event::{Report, Verdict};
use super::opening::{Opening, State, Status};
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The speaker: we, or the provider by one of its ways.
    Side {
        /// Our own record.
        Ours = "ours",
        /// The provider's last word, whichever way it came.
        Theirs = "theirs",
        /// The last webhook.
        Webhook = "webhook",
        /// The last poll.
        Poll = "poll",
        /// The last list that was read.
        List = "list",
        /// The last row of a report file.
        Report = "report",
    }
);

string_enum!(
    /// A value that is compared between the sides.
    Subject {
        /// Our state, and the provider's status word.
        Status = "status",
        /// The provider's tracking id.
        ProviderReference = "provider_reference",
        /// Our reference: the opening's id.
        Reference = "reference",
        /// The account's IBAN.
        Iban = "iban",
        /// The account's BIC.
        Bic = "bic",
        /// The reason of an end without an account.
        Reason = "reason",
    }
);

string_enum!(
    /// Whether the two sides agree.
    Agreement {
        /// The provider's final answer is ours.
        Agree = "agree",
        /// The two sides contradict each other, or one of them is missing.
        Differ = "differ",
        /// There is no final answer yet.
        Unknown = "unknown",
    }
);

string_enum!(
    /// The kind of a difference; the first that fits.
    Class {
        /// Neither side has a final answer.
        Waiting = "waiting",
        /// A message about it was stored and is not decided yet.
        Unread = "unread",
        /// Two different final answers.
        ConflictingAnswer = "conflicting_answer",
        /// The same answer with another account.
        AccountDiffers = "account_differs",
        /// Another opening holds its tracking id or its account.
        HeldElsewhere = "held_elsewhere",
        /// Tracking id and our reference name different openings.
        CorrelationMismatch = "correlation_mismatch",
        /// We hold a final answer that the provider never gave.
        OursOnly = "ours_only",
        /// The provider's register does not have it.
        MissingAtProvider = "missing_at_provider",
        /// A submission was not answered: an account may be under way.
        OutcomeUnknown = "outcome_unknown",
        /// The provider's last word is one that the adapter does not know.
        UnknownWord = "unknown_word",
        /// A way of the provider still shows the word from before its final answer.
        StaleView = "stale_view",
    }
);

/// The last report by one way of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The way. `Ours`: the answer to our submission, which has no column of its own.
    pub side: Side,
    /// When we learnt it.
    pub at: Time,
    /// The provider's statement.
    pub report: Report,
}

/// The circumstances of the opening beside the reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// A message about it waits to be decided.
    pub is_unread: bool,
    /// The provider's register does not have it.
    pub is_missing: bool,
    /// The kinds of its open cases.
    pub open_cases: Vec<CaseKind>,
    /// When we took the final answer.
    pub decided_at: Option<Time>,
}

/// A value that one side holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The side.
    pub side: Side,
    /// The value. None: not said.
    pub value: Option<String>,
    /// The value contradicts ours.
    pub contradicts: bool,
}

/// A subject with the value of each side, ours first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The subject.
    pub subject: Subject,
    /// A cell per side.
    pub cells: Vec<Cell>,
}

impl Row {
    /// Whether a cell contradicts ours.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.cells.iter().any(|it| it.contradicts)
    }
}

/// Both sides beside each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Whether they agree.
    pub agreement: Agreement,
    /// The kind of difference. None: they agree.
    pub class: Option<Class>,
    /// A row per subject.
    pub rows: Vec<Row>,
}

/// Compares what we hold with what was said.
#[must_use]
pub fn compare(opening: &Opening, said: &[Said], situation: &Situation) -> Comparison {
    let newest = said.iter().max_by_key(|it| it.at);
    let row = |subject: &Subject| row(*subject, opening, said, newest, situation);
    let rows: Vec<Row> = Subject::ALL.iter().map(row).collect();
    let class = class(opening, newest, said, situation, &rows);
    let agreement = match class {
        Some(Class::Waiting | Class::OutcomeUnknown | Class::UnknownWord) => Agreement::Unknown,
        Some(Class::Unread) if !rows.iter().any(Row::differs) => Agreement::Unknown,
        Some(_) => Agreement::Differ,
        None => Agreement::Agree,
    };
    Comparison { agreement, class, rows }
}

fn row(subject: Subject, opening: &Opening, said: &[Said], newest: Option<&Said>, situation: &Situation) -> Row {
    let cell = |side: &Side| {
        let by = match side {
            Side::Ours => None,
            Side::Theirs => newest,
            side => said.iter().filter(|it| it.side == *side).max_by_key(|it| it.at),
        };
        let value = if *side == Side::Ours { ours(subject, opening) } else { by.and_then(|it| theirs(subject, it)) };
        let contradicts = by.is_some_and(|it| contradicts(subject, opening, it, situation));
        Cell { side: *side, value, contradicts }
    };
    Row { subject, cells: Side::ALL.iter().map(cell).collect() }
}

fn ours(subject: Subject, opening: &Opening) -> Option<String> {
    let (state, account) = (&opening.state, opening.state.account());
    match subject {
        Subject::Status => Some(state.name().to_string()),
        Subject::ProviderReference => state.reference().map(ToString::to_string),
        Subject::Reference => Some(opening.id.to_string()),
        Subject::Iban => account.map(|it| it.iban.as_str().to_owned()),
        Subject::Bic => account.map(|it| it.bic.as_str().to_owned()),
        Subject::Reason => state.reason().map(ToOwned::to_owned),
    }
}

fn theirs(subject: Subject, Said { report, .. }: &Said) -> Option<String> {
    let value = match subject {
        Subject::Status => Some(report.word.clone()),
        Subject::ProviderReference => report.reference.as_ref().map(ToString::to_string),
        Subject::Reference => report.our_name(),
        Subject::Iban => report.iban.as_deref().map(compact),
        Subject::Bic => report.bic.as_deref().map(compact),
        Subject::Reason => report.reason.clone(),
    };
    value.filter(|it| !it.is_empty())
}

/// A value that is not said, by them or by us, contradicts nothing.
fn contradicts(subject: Subject, opening: &Opening, said: &Said, situation: &Situation) -> bool {
    if subject == Subject::Status {
        return is_other_answer(opening, said.report.verdict) || is_stale(opening, said, situation);
    }
    let (Some(ours), Some(theirs)) = (ours(subject, opening), theirs(subject, said)) else { return false };
    match subject {
        Subject::Bic => !is_same_bank(&ours, &theirs),
        // Ours may hold the code of a refusal before its text, or an operator's words.
        Subject::Reason => {
            let both_refuse = matches!(opening.state, State::Rejected(_)) && said.report.verdict == Verdict::Rejected;
            both_refuse && !ours.contains(&theirs) && !theirs.contains(&ours)
        }
        _ => ours != theirs,
    }
}

fn is_same_bank(ours: &str, theirs: &str) -> bool {
    matches!((Bic::parse(ours), Bic::parse(theirs)), (Ok(ours), Ok(theirs)) if ours.same_bank(&theirs))
}

/// A final word that is not the answer we hold.
fn is_other_answer(opening: &Opening, verdict: Verdict) -> bool {
    matches!(
        (opening.state_name().status(), verdict),
        // Without a usable account a completion does not move an opening that waits; a refusal always does.
        (Status::Succeeded | Status::InProgress | Status::Failed, Verdict::Rejected)
            | (Status::Rejected | Status::Failed, Verdict::Completed)
    )
}

/// A word that is not final, said after we took the final answer. An earlier word was true at its time.
fn is_stale(opening: &Opening, said: &Said, situation: &Situation) -> bool {
    let is_over = opening.state_name().status() != Status::InProgress;
    let is_open = matches!(said.report.verdict, Verdict::Started | Verdict::Pending);
    is_over && is_open && situation.decided_at.is_some_and(|at| said.at > at)
}

fn class(
    opening: &Opening,
    newest: Option<&Said>,
    said: &[Said],
    situation: &Situation,
    rows: &[Row],
) -> Option<Class> {
    let has_case = |kinds: &[CaseKind]| situation.open_cases.iter().any(|it| kinds.contains(it));
    let differs = |subjects: &[Subject]| rows.iter().any(|it| subjects.contains(&it.subject) && it.differs());
    let is_final = |verdict| matches!(verdict, Verdict::Completed | Verdict::Rejected);
    let in_progress = opening.state_name().status() == Status::InProgress;
    let other_answer = said.iter().any(|it| is_other_answer(opening, it.report.verdict));
    let account_cases = [CaseKind::InvalidIban, CaseKind::InvalidBic];
    let held = [CaseKind::IbanHeldElsewhere, CaseKind::ReferenceHeldElsewhere];
    let correlation = [CaseKind::CorrelationMismatch, CaseKind::SecondReference];
    let is_unknown_word = newest.is_some_and(|it| it.report.verdict == Verdict::Unknown);
    let is_outcome_unknown = opening.state.unknown_since().is_some();
    // Its messages are empty, and say nothing about what the bank said.
    let is_erased = matches!(opening.state, State::Erased(_));
    let is_quiet = situation.open_cases.is_empty() && !rows.iter().any(Row::differs) && !situation.is_missing;
    let order = [
        (in_progress && is_quiet && !situation.is_unread && !is_unknown_word && !is_outcome_unknown, Class::Waiting),
        (situation.is_unread, Class::Unread),
        (other_answer || has_case(&[CaseKind::ConflictingAnswer]), Class::ConflictingAnswer),
        (differs(&[Subject::Iban, Subject::Bic]) || has_case(&account_cases), Class::AccountDiffers),
        (has_case(&held), Class::HeldElsewhere),
        (
            differs(&[Subject::ProviderReference, Subject::Reference]) || has_case(&correlation),
            Class::CorrelationMismatch,
        ),
        (!in_progress && !is_erased && !said.iter().any(|it| is_final(it.report.verdict)), Class::OursOnly),
        (situation.is_missing, Class::MissingAtProvider),
        (is_outcome_unknown, Class::OutcomeUnknown),
        (is_unknown_word, Class::UnknownWord),
        (differs(&[Subject::Status, Subject::Reason]), Class::StaleView),
        (in_progress, Class::Waiting),
    ];
    order.into_iter().find(|(fits, _)| *fits).map(|(_, class)| class)
}

impl Class {
    /// The next step that operations people are advised to take about the difference.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Waiting => "Neither side has a final answer. Wait for the coming event, or ask the bank now.",
            Self::Unread => "A fact about it is stored and is decided next. Look again in a moment.",
            Self::ConflictingAnswer => {
                "The bank gave an answer other than ours. Ask the bank which one holds, then resolve the case."
            }
            Self::AccountDiffers => {
                "The account differs. Tell the customer no IBAN before the bank has confirmed which one is theirs."
            }
            Self::HeldElsewhere => {
                "Another opening holds this account or tracking id. Compare both openings with the bank."
            }
            Self::CorrelationMismatch => {
                "The bank's references name another opening. Ask the bank which request its answer belongs to."
            }
            Self::OursOnly => "The bank never gave the answer that we hold. Ask the bank to confirm it in writing.",
            Self::MissingAtProvider => "The bank's register does not have this request. Ask the bank by our reference.",
            Self::OutcomeUnknown => {
                "A submission was not answered: an account may be under way. It is repeated under the same key."
            }
            Self::UnknownWord => {
                "The bank used a word that we do not know. Ask the bank what it means; it moves nothing."
            }
            Self::StaleView => {
                "One way of the bank still shows what was before its final answer. It changes nothing here."
            }
        }
    }
}
