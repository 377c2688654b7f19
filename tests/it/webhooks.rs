//! Webhooks from the socket to the inbox: what is answered when, what is stored, and what it comes to (P1 to P6,
//! P19).

mod answers;
mod bodies;
mod burst;
mod duplicates;
mod early;
mod overload;
mod signatures;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";

/// A message of the bank's, always the same bytes. `account`: the IBAN, for a status that comes with one.
fn message(tracking_id: &str, status: &str, account: Option<&str>) -> String {
    let account = account.map(|iban| format!(r#","iban":"{iban}","bic":"NEXUBEBB""#)).unwrap_or_default();
    format!(
        r#"{{"type":"account_opening_request.status_changed","timestamp":"2026-01-01T00:00:00Z","data":{{"account_opening_request_id":"{tracking_id}","status":"{status}"{account}}}}}"#
    )
}

/// A message about something that is of no concern: it is kept, and nothing comes of it.
fn of_no_concern(n: usize) -> String {
    format!(r#"{{"type":"customer.created","n":{n}}}"#)
}
