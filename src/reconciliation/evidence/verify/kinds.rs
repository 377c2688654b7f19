//! Classifies a row again, by what the service classified it by. A kind of report is an arm of [`judge`].

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::StateName;
use crate::reconciliation::classify::{self, Class, bank, charges, register};
use crate::reconciliation::evidence::lines::ReportFacts;
use crate::report_files::row::{BankRow, ChargeRow, Kind, RegisterRow, Row};

/// Class and rule.
pub type Judgement = (Class, &'static str);

/// The row without the word for its kind, and its digest, as the service stores both.
#[must_use]
pub fn canonical(row: &Row) -> (Value, String) {
    fn of(row: &impl Serialize) -> (Value, String) {
        let digest = Sha256::digest(serde_json::to_vec(row).unwrap_or_default());
        (serde_json::to_value(row).unwrap_or_default(), hex::encode(digest))
    }
    match row {
        Row::Register(row) => of(row),
        Row::Charge(row) => of(row),
        // Whichever statement says it.
        Row::Bank(row) => (of(row).0, of(&row.entry()).1),
    }
}

#[must_use]
pub const fn kind(row: &Row) -> Kind {
    match row {
        Row::Register(_) => Kind::Register,
        Row::Charge(_) => Kind::Charges,
        Row::Bank(_) => Kind::Bank,
    }
}

/// Judges the row with this key. None: it was not classified by values of ours.
///
/// # Errors
/// If the values are not those of the row's kind, or of another row.
pub fn judge(row: &Row, key: &str, ours: &Value, report: &ReportFacts) -> Result<Option<Judgement>, String> {
    match row {
        _ if ours.is_null() => Ok(None),
        Row::Register(row) => register(row, ours, report).map(Some),
        Row::Charge(row) => charge(row, ours).map(Some),
        Row::Bank(row) => entry(row, key, ours).map(Some),
    }
}

/// Where openings stand in the values of a row.
const OPENINGS: [&str; 4] =
    ["/by_tracking_id", "/by_reference", "/charges/0/by_tracking_id", "/charges/0/by_reference"];

/// The openings that a row was compared with, each in the state that it was in.
pub fn held(ours: &Value) -> impl Iterator<Item = (Uuid, StateName)> {
    let state = |it: &Value| Some((it["id"].as_str()?.parse().ok()?, it["state"].as_str()?.parse().ok()?));
    OPENINGS.iter().filter_map(move |place| ours.pointer(place).and_then(state))
}

fn register(row: &RegisterRow, ours: &Value, report: &ReportFacts) -> Result<Judgement, String> {
    let basis: register::Basis = read(ours)?;
    let as_of = report.as_of.unwrap_or(report.received_at);
    let classify::Classified { class, rule, .. } = basis.classify(row, as_of, report.received_at);
    Ok((class, rule))
}

fn charge(row: &ChargeRow, ours: &Value) -> Result<Judgement, String> {
    let basis: charges::Basis = read(ours)?;
    let of = match &basis {
        charges::Basis::Fee { charges, .. } => charges.first(),
        charges::Basis::Group { charge, .. } | charges::Basis::Settlement { charge, .. } => Some(charge),
    };
    if of.is_none_or(|it| it.row != *row) {
        return Err("its basis is of another row".to_owned());
    }
    basis.judge().map(|it| (it.class, it.rule)).ok_or_else(|| "its basis has no row".to_owned())
}

/// An entry beside the settlement that it names. Other reports may add texts to it, and none of its amounts.
fn entry(row: &BankRow, key: &str, ours: &Value) -> Result<Judgement, String> {
    let basis: bank::Basis = read(ours)?;
    let says = |it: &&bank::Entry| {
        (it.amount, &it.currency, it.booked_on) == (row.amount, &row.currency, row.booked_on)
            && it.names.contains(&basis.settlement.id)
    };
    let own = basis.entries.iter().filter(|it| it.key == key && basis.key == key).find(says);
    let own = own.ok_or("its basis is of another row")?;
    let candidates = own.names.iter().map(String::as_str).chain(bank::names::formed(&row.references)).collect();
    if bank::names::named(&row.references, &candidates).is_empty() {
        return Err("its basis is of a settlement, and its texts name none".to_owned());
    }
    basis.judge().map(|it| (it.class, it.rule)).ok_or_else(|| "its basis has no entry that counts".to_owned())
}

fn read<T: serde::de::DeserializeOwned>(ours: &Value) -> Result<T, String> {
    T::deserialize(ours).map_err(|error| format!("its values of ours cannot be read: {error}"))
}
