//! The register: every request that was made or changed in the period, with its status at `as_of`.

use serde::Serialize;

use super::deal::Dealt;
use super::divergence::{File, Kind};
use super::entry::Entry;
use super::sheet::Sheet;
use super::{Ask, Marks, stamp};
use crate::mint;
use crate::snapshot::Status;

const COLUMNS: [&str; 10] = [
    "account_opening_request_id",
    "reference",
    "status",
    "iban",
    "bic",
    "rejection_reason",
    "market",
    "currency",
    "created_at",
    "decided_at",
];
/// A bank that is not the simulated one.
const OTHER_BANK: &str = "KREDBEBB";
/// A status that no contract knows.
const UNKNOWN_STATUS: &str = "FROZEN";

/// A row, as it will be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    id: String,
    reference: String,
    status: String,
    iban: String,
    bic: String,
    reason: String,
    market: String,
    currency: String,
    created_at: String,
    decided_at: String,
}

impl Row {
    fn new(entry: &Entry, ask: &Ask) -> Self {
        let (request, status) = (&entry.request, entry.status(ask.as_of));
        let account =
            |field: &Option<String>| field.clone().filter(|_| status == Status::Completed).unwrap_or_default();
        Self {
            id: request.account_opening_request_id.clone(),
            reference: request.reference.clone(),
            status: word(status),
            iban: account(&request.iban),
            bic: account(&request.bic),
            reason: if status == Status::Rejected { entry.reason() } else { String::new() },
            market: request.market.clone(),
            currency: request.currency.clone(),
            created_at: stamp(request.created_at),
            decided_at: entry.decided_at(ask.as_of).map(stamp).unwrap_or_default(),
        }
    }

    fn fields(&self) -> [&str; 10] {
        [
            &self.id,
            &self.reference,
            &self.status,
            &self.iban,
            &self.bic,
            &self.reason,
            &self.market,
            &self.currency,
            &self.created_at,
            &self.decided_at,
        ]
    }

    fn undecided(self) -> Self {
        let none = String::new;
        Self { status: word(Status::InProgress), iban: none(), bic: none(), reason: none(), decided_at: none(), ..self }
    }
}

fn word(status: Status) -> String {
    let json = status.serialize(serde_json::value::Serializer).ok();
    json.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// Writes the file, and marks the lines of the divergences. Returns the number of rows too.
pub(super) fn write(entries: &[Entry], dealt: &Dealt, seed: u64, ask: &Ask, marks: &mut Marks) -> (String, usize) {
    let mut rows = rows(entries, dealt, seed, ask, marks);
    if let Some(row) = stranger(entries, seed, ask).filter(|_| dealt.has(Kind::Stranger)) {
        let mark = marks.add(Kind::Stranger, &row.id, None);
        rows.push((row, Some(mark)));
    }
    let mut sheet = Sheet::default();
    sheet.record(ask.header("register"));
    sheet.record(COLUMNS);
    let kept = ask.kept(rows.len());
    for (row, mark) in rows.iter().take(kept) {
        marks.line(*mark, sheet.record(row.fields()));
    }
    if !ask.cut {
        sheet.record(["TRAILER", &kept.to_string()]);
    }
    (sheet.finish(), kept)
}

/// The rows with their marks.
fn rows(entries: &[Entry], dealt: &Dealt, seed: u64, ask: &Ask, marks: &mut Marks) -> Vec<(Row, Option<usize>)> {
    let listed = |entry: &Entry| !entry.request.blocking && entry.is_in(ask.from, ask.until, ask.as_of);
    let mut rows = Vec::new();
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| listed(entry)) {
        let row = Row::new(entry, ask);
        let kind = dealt.of(at).filter(|kind| kind.file() == File::Register && ask.shows(*kind));
        let Some(kind) = kind.or_else(|| by_plan(entry, ask)) else {
            rows.push((row, None));
            continue;
        };
        let partner = dealt.partner(at).and_then(|partner| entries.get(partner));
        let (right, wrong) = diverge(kind, row, (entry, partner), seed);
        let key = wrong.first().map_or_else(|| entry.id().to_owned(), |row| row.id.clone());
        let mark = marks.add(kind, &key, Some(entry));
        rows.extend(right.map(|row| (row, None)));
        rows.extend(wrong.into_iter().map(|row| (row, Some(mark))));
    }
    rows
}

/// A divergence that comes with the opening's plan, and so stands in every file.
fn by_plan(entry: &Entry, ask: &Ask) -> Option<Kind> {
    let missed = entry.unheard && entry.decided_at(ask.as_of).is_some();
    let held = entry.status(ask.as_of) == Status::OnHold;
    missed.then_some(Kind::MissedAnswer).or(held.then_some(Kind::OnHold))
}

/// The right row, where it stays, and those that differ.
fn diverge(kind: Kind, row: Row, (entry, partner): (&Entry, Option<&Entry>), seed: u64) -> (Option<Row>, Vec<Row>) {
    let other_iban = || entry.other_iban(seed);
    let wrong = match kind {
        Kind::NotYetDecided | Kind::NeverDecided => row.undecided(),
        Kind::RefusedAfterAll => {
            let (status, reason) = (word(Status::Rejected), "closed_by_compliance".to_owned());
            Row { status, reason, iban: String::new(), bic: String::new(), ..row }
        }
        Kind::OpenedAfterAll => {
            let (status, bic) = (word(Status::Completed), mint::bic(&row.market));
            Row { status, iban: other_iban(), bic, reason: String::new(), ..row }
        }
        Kind::OtherIban => Row { iban: other_iban(), ..row },
        Kind::OtherBank => Row { bic: OTHER_BANK.to_owned(), ..row },
        Kind::LeftOut => return (None, Vec::new()),
        Kind::SecondAccount => {
            let second = Row { id: mint::id("aor", seed, &["second", &row.id]), iban: other_iban(), ..row.clone() };
            return (Some(row), vec![second]);
        }
        Kind::Swapped => {
            let reference = partner.map(|it| it.request.reference.clone()).unwrap_or_default();
            Row { reference, ..row }
        }
        Kind::OtherMarket => {
            let market = if row.market == "LU" { "AT" } else { "LU" };
            Row { market: market.to_owned(), ..row }
        }
        Kind::OtherCurrency => Row { currency: "USD".to_owned(), ..row },
        Kind::Conflicting => return (None, vec![row.clone(), Row { iban: other_iban(), ..row }]),
        Kind::UnknownStatus => Row { status: UNKNOWN_STATUS.to_owned(), ..row },
        _ => row,
    };
    (None, vec![wrong])
}

/// A request under a reference of another customer of the bank. Its times are those of a request of ours.
fn stranger(entries: &[Entry], seed: u64, ask: &Ask) -> Option<Row> {
    let like = entries.iter().find(|it| it.fit && it.status(ask.as_of) == Status::Completed)?;
    let [id, reference] = ["aor", "ref"].map(|prefix| mint::id(prefix, seed, &["stranger", "register"]));
    let row = Row::new(like, ask);
    Some(Row { id, reference, iban: mint::iban(&row.market, seed, &["stranger", "register"]), ..row })
}
