//! Each class is found when its divergence is alone and in any company, a clean file finds nothing, and neither the order of rows nor
//! where a file is split changes a class.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::bank::made_up_iban;
use crate::report_files::framed::PULLED;

const PROVIDER: &str = "somebank";

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn as_of() -> Time {
    time("2026-01-10T03:00:00Z")
}

fn file(report: u128) -> File<'static> {
    let times = Times::new(as_of(), as_of() + chrono::TimeDelta::hours(1), chrono::TimeDelta::hours(24));
    File { report: Uuid::from_u128(report), provider: PROVIDER, times }
}

/// The divergence of a row, and the class that it must have.
const DIVERGENCES: [(&str, Class); 17] = [
    ("completed", Class::Matched),
    ("rejected", Class::Matched),
    ("waiting", Class::Matched),
    ("erased", Class::Matched),
    ("completed, ours waits", Class::MissedAnswer),
    ("rejected, ours waits", Class::MissedAnswer),
    ("rejected, ours completed", Class::StatusMismatch),
    ("rejected, ours failed", Class::StatusMismatch),
    ("pending, ours ended long ago", Class::StatusMismatch),
    ("pending, ours ended just now", Class::TimingMismatch),
    ("another IBAN", Class::IbanMismatch),
    ("another bank", Class::IbanMismatch),
    ("a stranger", Class::MissingInternal),
    ("a second tracking id", Class::DuplicateAccount),
    ("the reference of another", Class::CorrelationMismatch),
    ("another market", Class::AttributeMismatch),
    ("an unknown word", Class::UnknownWord),
];

/// Openings, and rows about them.
#[derive(Default)]
struct World {
    held: Vec<Held>,
    ends: Vec<(Uuid, Time)>,
    rows: Vec<(RegisterRow, Class)>,
}

fn tracking_id(n: u128) -> String {
    format!("aor_{n}")
}

fn iban(n: u128) -> String {
    made_up_iban("BE", n).as_str().to_owned()
}

fn held(n: u128, state: &str) -> Held {
    let has_account = matches!(state, "completed" | "issuing_card");
    Held {
        id: Uuid::from_u128(n),
        state: state.to_owned(),
        provider_ref: Some(tracking_id(n)),
        market: "BE".to_owned(),
        customer_type: "company".to_owned(),
        currency: "EUR".to_owned(),
        iban: has_account.then(|| iban(n)),
        bic: has_account.then(|| "NEXUBEBB".to_owned()),
        version: 5,
        erased: false,
    }
}

fn row(n: u128, status: &str) -> RegisterRow {
    let (is_completed, verdict) = (status == "COMPLETED", (PULLED.verdict)(status));
    RegisterRow {
        provider_reference: tracking_id(n),
        reference: Some(Uuid::from_u128(n).to_string()),
        status: status.to_owned(),
        verdict,
        iban: is_completed.then(|| iban(n)),
        bic: is_completed.then(|| "NEXUBEBB".to_owned()),
        rejection_reason: None,
        market: Some("BE".to_owned()),
        currency: Some("EUR".to_owned()),
        created_at: None,
        decided_at: None,
    }
}

impl World {
    /// Makes a row for each of these divergences, about openings of its own.
    fn of(divergences: &[usize]) -> Self {
        let mut world = Self::default();
        for (n, divergence) in (1_u128..).zip(divergences) {
            world.add(n * 2, DIVERGENCES[*divergence]);
        }
        world
    }

    fn add(&mut self, n: u128, (divergence, class): (&str, Class)) {
        let (state, status) = match divergence {
            "rejected" => ("rejected", "REJECTED"),
            "waiting" => ("awaiting_provider", "IN_PROGRESS"),
            "completed, ours waits" => ("escalated", "COMPLETED"),
            "rejected, ours waits" => ("awaiting_provider", "REJECTED"),
            "rejected, ours completed" => ("completed", "REJECTED"),
            "rejected, ours failed" => ("failed", "REJECTED"),
            "pending, ours ended long ago" | "pending, ours ended just now" => ("completed", "IN_PROGRESS"),
            "an unknown word" => ("completed", "ON_HOLD"),
            _ => ("completed", "COMPLETED"),
        };
        let (mut opening, mut row) = (held(n, state), row(n, status));
        match divergence {
            "erased" => (opening.erased, opening.iban, opening.bic) = (true, None, None),
            "another IBAN" => row.iban = Some(iban(n + 1)),
            "another bank" => row.bic = Some("OTHRBEBB".to_owned()),
            "a stranger" => (row.provider_reference, row.reference) = (format!("stranger_{n}"), None),
            "a second tracking id" => row.provider_reference = format!("second_{n}"),
            "the reference of another" => row.reference = Some(Uuid::from_u128(n + 1).to_string()),
            "another market" => row.market = Some("NL".to_owned()),
            _ => {}
        }
        let before = if divergence == "pending, ours ended just now" { 1 } else { 5 * 24 };
        self.ends.push((opening.id, as_of() - chrono::TimeDelta::hours(before)));
        self.held.extend([opening, held(n + 1, "awaiting_provider")]);
        self.rows.push((row, class));
    }

    fn openings(&self) -> Openings {
        let mut openings = Openings::of(self.held.clone());
        for (id, at) in &self.ends {
            openings.by_id.entry(*id).and_modify(|it| it.ended_at = Some(*at));
        }
        openings
    }
}

/// A row with its key and its place.
struct Keyed<'a>(i64, String, &'a RegisterRow);

fn keyed<'a>(rows: impl Iterator<Item = &'a RegisterRow>) -> Vec<Keyed<'a>> {
    (1..).zip(rows).map(|(n, row)| Keyed(n, format!("{}|{}|", row.provider_reference, row.status), row)).collect()
}

fn digest(row: &RegisterRow) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(row).unwrap()).into()
}

fn asked<'a>(rows: &'a [Keyed<'a>]) -> Vec<Asked<'a>> {
    rows.iter().map(|Keyed(n, key, row)| Asked { n: *n, digest: digest(row), key, row }).collect()
}

/// The rows of a stored slice, as later ones find them.
fn stored(file: &File<'_>, rows: &[Asked<'_>], slice: &Slice) -> Vec<Earlier> {
    let earlier = |(asked, compared): (&Asked<'_>, &Compared)| Earlier {
        provider_reference: asked.row.provider_reference.clone(),
        row_key: asked.key.to_owned(),
        digest: asked.digest.to_vec(),
        report_id: file.report,
        n: asked.n,
        class: compared.classified.class.to_string(),
        is_final: asked.row.is_final(),
        as_of: Some(file.times.as_of),
    };
    rows.iter().zip(&slice.rows).map(earlier).collect()
}

/// The classes of rows in one slice.
fn classes(world: &World, file: &File<'_>, rows: &[Keyed<'_>], earlier: Vec<Earlier>) -> Vec<Class> {
    let slice = beside(file, &asked(rows), &world.openings(), &Said::of(earlier));
    slice.rows.iter().map(|it| it.classified.class).collect()
}

#[test]
fn each_divergence_alone_is_one_finding_of_its_class() {
    for (n, (divergence, class)) in DIVERGENCES.iter().enumerate() {
        let world = World::of(&[n]);
        let rows = keyed(world.rows.iter().map(|it| &it.0));
        let slice = beside(&file(1), &asked(&rows), &world.openings(), &Said::of(Vec::new()));
        let found: Vec<Class> = slice.rows[0].classified.findings.iter().map(|it| it.class).collect();
        let expected: Vec<Class> = Some(*class).into_iter().filter(|it| *it != Class::Matched).collect();
        assert_eq!((slice.rows[0].classified.class, found), (*class, expected), "{divergence}");
    }
}

fn any_company() -> impl Strategy<Value = Vec<usize>> {
    vec(0..DIVERGENCES.len(), 1..40)
}

proptest! {
    #[test]
    fn a_clean_file_finds_nothing(clean in vec(0..4_usize, 1..40)) {
        let world = World::of(&clean);
        let rows = keyed(world.rows.iter().map(|it| &it.0));
        let slice = beside(&file(1), &asked(&rows), &world.openings(), &Said::of(Vec::new()));
        prop_assert!(slice.conflicts.is_empty());
        for it in &slice.rows {
            prop_assert_eq!((it.classified.class, it.classified.findings.len()), (Class::Matched, 0));
        }
    }

    #[test]
    fn each_class_is_found_in_any_company_and_order(order in any_company().prop_shuffle()) {
        let world = World::of(&order);
        let rows = keyed(world.rows.iter().map(|it| &it.0));
        let expected: Vec<Class> = world.rows.iter().map(|it| it.1).collect();
        prop_assert_eq!(classes(&world, &file(1), &rows, Vec::new()), expected);
    }

    /// Into two slices of one file, or into two files, of which either comes first.
    #[test]
    fn where_a_file_is_split_changes_no_class(company in any_company(), at: Index, of_one_file: bool, swapped: bool) {
        let world = World::of(&company);
        let rows = keyed(world.rows.iter().map(|it| &it.0));
        let expected: Vec<Class> = world.rows.iter().map(|it| it.1).collect();
        let at = at.index(rows.len() + 1);
        let (mut first, mut second) = (&rows[..at], &rows[at..]);
        if swapped {
            (first, second) = (second, first);
        }
        let (one, two) = (file(1), file(if of_one_file { 1 } else { 2 }));
        let slice = beside(&one, &asked(first), &world.openings(), &Said::of(Vec::new()));
        let earlier = stored(&one, &asked(first), &slice);
        let mut found: Vec<Class> = slice.rows.iter().map(|it| it.classified.class).collect();
        let later = classes(&world, &two, second, earlier);
        if swapped {
            found.splice(..0, later);
        } else {
            found.extend(later);
        }
        prop_assert_eq!(found, expected);
    }

    /// P28: rows that come again, in any part of another file, come to the same.
    #[test]
    fn overlap_changes_no_class(company in any_company(), from: Index) {
        let world = World::of(&company);
        let rows = keyed(world.rows.iter().map(|it| &it.0));
        let (one, two) = (file(1), file(2));
        let slice = beside(&one, &asked(&rows), &world.openings(), &Said::of(Vec::new()));
        let earlier = stored(&one, &asked(&rows), &slice);
        let again = &rows[from.index(rows.len())..];
        let slice = beside(&two, &asked(again), &world.openings(), &Said::of(earlier));
        for (it, (_, class)) in slice.rows.iter().zip(&world.rows[rows.len() - again.len()..]) {
            prop_assert!(it.came_before && !it.revises);
            prop_assert_eq!(it.classified.class, *class);
        }
    }

    /// Two contents under one key conflict wherever they stand; neither is used, and no other row is touched.
    #[test]
    fn conflicting_rows_are_found_in_any_company(company in any_company(), of: Index, at: Index) {
        let world = World::of(&company);
        let of = of.index(world.rows.len());
        let mut other = world.rows[of].0.clone();
        other.rejection_reason = Some("another content".to_owned());
        let mut all: Vec<&RegisterRow> = world.rows.iter().map(|it| &it.0).collect();
        let at = at.index(all.len() + 1);
        all.insert(at, &other);
        let rows = keyed(all.into_iter());
        let found = classes(&world, &file(1), &rows, Vec::new());
        let mut expected: Vec<Class> = world.rows.iter().map(|it| it.1).collect();
        expected[of] = Class::ConflictingRows;
        expected.insert(at, Class::ConflictingRows);
        prop_assert_eq!(found, expected);
    }
}
