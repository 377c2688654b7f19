//! A provider's list as a register: the items of its pages become rows of a framed file.
//!
//! The provider's adapter reads the items, so a list has the meaning of the provider's webhooks. An item that cannot be read becomes a
//! row without a tracking id, which is a bad row when the file is read: it is listed, and no other row is lost.

use crate::clock::Time;
use crate::csv::quoted;
use crate::domain::{Report, Verdict};
use crate::provider::{ListPage, Parsed, Provider};
use crate::report_files::date::written;
use crate::report_files::framed::{PULLED, register_columns};

/// The status of an item that cannot be read.
const UNREADABLE: &str = "UNREADABLE";

/// The records before the rows.
pub fn head(provider: &str, from: Time, until: Time, as_of: Time) -> String {
    let [from, until, as_of] = [from, until, as_of].map(written);
    let columns = register_columns().join(",");
    format!("HEADER,register,{},1,{from},{until},{as_of}\n{columns}\n", quoted(provider))
}

/// The record behind the rows.
pub fn tail(rows: i64) -> String {
    format!("TRAILER,{rows}\n")
}

/// The rows of a page, and their number.
pub fn rows(provider: &dyn Provider, page: &ListPage) -> (String, i64) {
    let mut rows = Vec::new();
    for item in &page.items {
        match provider.parse_item(&item.body) {
            Parsed::Reports(reports) => rows.extend(reports.iter().map(row)),
            Parsed::Unreadable(why) => {
                tracing::warn!(
                    provider = provider.name(),
                    why,
                    "an item of a provider's list cannot be read; it becomes a bad row"
                );
                rows.push(record(["", "", UNREADABLE, "", "", "", "", "", "", ""]));
            }
            Parsed::Handshake | Parsed::Ignored(_) => {}
        }
    }
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    (rows.concat(), count)
}

fn row(report: &Report) -> String {
    let reference = report.reference.as_ref().map_or("", |it| it.as_str());
    let texts = [&report.our_reference, &report.iban, &report.bic, &report.reason];
    let [ours, iban, bic, reason] = texts.map(|it| it.as_deref().unwrap_or_default());
    record([reference, ours, status(report), iban, bic, reason, "", "", "", ""])
}

/// The provider's own word where the format gives it the same meaning, else the format's word for it.
fn status(report: &Report) -> &str {
    if (PULLED.verdict)(&report.word) == report.verdict {
        return &report.word;
    }
    match report.verdict {
        Verdict::Started => "INITIATED",
        Verdict::Pending => "IN_PROGRESS",
        Verdict::Completed => "COMPLETED",
        Verdict::Rejected => "REJECTED",
        Verdict::Unknown => "UNKNOWN",
    }
}

fn record(fields: [&str; 10]) -> String {
    fields.map(quoted).join(",") + "\n"
}
