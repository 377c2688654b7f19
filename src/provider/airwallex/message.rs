//! Parses Airwallex' answers and events, and translates its words.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::settings::OnBehalfOf;
use crate::clock::Time;
use crate::domain::{OpeningId, ProviderRef, Report, Verdict};
use crate::outbound::json::{self, Prose, sanitize};
use crate::outbound::{Answer, CallError, Token, is_code};
use crate::provider::wire::{time, unreadable};
use crate::provider::{ListItem, ListPage, Parsed};

/// The prefix of the names of events about global accounts.
const EVENTS: &str = "global_account.";
/// An account that was closed later. It says nothing about its opening.
const CLOSED: &str = "global_account.closed";

/// A global account, the same in answers and events. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
pub struct Account {
    id: String,
    status: String,
    request_id: Option<String>,
    iban: Option<String>,
    swift_code: Option<String>,
    failure_reason: Option<Prose>,
    close_reason: Option<Prose>,
}

impl Account {
    /// Reads an item of the list. None: it is no account.
    pub fn read(body: &[u8]) -> Option<Self> {
        json::read(body).ok()
    }

    /// The opening that it was made for. None: it was made otherwise, for example by hand.
    pub fn opening(&self) -> Option<OpeningId> {
        self.request_id.as_deref().and_then(|it| Uuid::parse_str(it).ok()).map(OpeningId)
    }

    /// Translates it; `owner` is the connected account that it belongs to.
    ///
    /// # Errors
    /// If its id is invalid.
    pub fn into_report(self, owner: Option<&str>) -> Result<Report, String> {
        let reference =
            ProviderRef::new(OnBehalfOf::tracking_id(owner, &self.id)).map_err(|why| format!("id {why}"))?;
        let some = |text: Option<String>| text.filter(|it| !it.is_empty()).map(|it| sanitize(&it));
        Ok(Report {
            reference: Some(reference),
            our_reference: self.opening().map(|it| it.to_string()),
            verdict: verdict(&self.status),
            word: sanitize(&self.status),
            iban: some(self.iban),
            bic: some(self.swift_code),
            reason: some(self.failure_reason.or(self.close_reason).map(|it| it.0)),
        })
    }
}

/// Translates a status word. An account that was closed while we wait for it is a no.
#[must_use]
pub fn verdict(status: &str) -> Verdict {
    match status {
        "PROCESSING" => Verdict::Pending,
        "ACTIVE" => Verdict::Completed,
        "FAILED" | "CLOSED" => Verdict::Rejected,
        _ => Verdict::Unknown,
    }
}

/// An error in the bank's own form.
#[derive(Debug)]
pub struct Refusal {
    /// Its code.
    pub code: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
}

impl Refusal {
    /// None: perhaps a gateway's.
    pub fn read(body: &[u8]) -> Option<Self> {
        let ErrorBody { code } = json::read(body).ok()?;
        is_code(&code).then_some(Self { code })
    }

    /// The refusal of an answer 4xx.
    pub fn of(answer: &Answer) -> Option<Self> {
        Self::read(&answer.body).filter(|_| answer.status.is_client_error())
    }

    /// Whether it says that the `request_id` was used before.
    pub fn is_known_request(&self) -> bool {
        ["duplicate_request", "resource_already_exists"].contains(&self.code.as_str())
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
    expires_at: Option<String>,
}

/// Reads an access token.
///
/// # Errors
/// If there is none.
pub fn token(answer: &Answer, _now: Time) -> Result<Token, CallError> {
    let TokenAnswer { token, expires_at } = answer.json()?;
    if token.is_empty() {
        return Err(CallError::unusable("an empty token"));
    }
    Ok(Token { secret: token.into(), ends_at: expires_at.as_deref().and_then(time) })
}

#[derive(Deserialize)]
struct List {
    items: Vec<Box<RawValue>>,
    page_after: Option<String>,
    has_more: Option<bool>,
}

/// Splits a page of the list into its items. This version gives the place of the next page; an older one says only that there is
/// more, and counts pages from 0.
///
/// # Errors
/// If the answer is not a page.
pub fn list_page(answer: &Answer, cursor: Option<&str>) -> Result<ListPage, CallError> {
    let page: List = serde_json::from_slice(&answer.body).map_err(|error| answer.of_another_shape(&error))?;
    let number = cursor.and_then(|it| it.strip_prefix(NUMBER)).and_then(|it| it.parse::<u32>().ok()).unwrap_or(0);
    let after = page.page_after.filter(|it| !it.is_empty()).map(|it| format!("{PLACE}{it}"));
    let more = page.has_more.unwrap_or(false).then(|| format!("{NUMBER}{}", number.saturating_add(1)));
    let item = |raw: Box<RawValue>| ListItem { body: raw.get().as_bytes().to_vec(), updated_at: None };
    Ok(ListPage { items: page.items.into_iter().map(item).collect(), next: after.or(more) })
}

/// The prefixes of a cursor of [`list_page`]: the place that the bank named, or the number of a page.
const PLACE: &str = "page=";
const NUMBER: &str = "page_num=";

/// The parameter that asks for the page at a cursor.
pub fn query_of(cursor: &str) -> (&'static str, String) {
    match cursor.strip_prefix(NUMBER) {
        Some(number) => ("page_num", number.to_owned()),
        None => ("page", cursor.strip_prefix(PLACE).unwrap_or(cursor).to_owned()),
    }
}

#[derive(Deserialize)]
struct Kind {
    id: Option<String>,
    name: String,
}

#[derive(Deserialize)]
struct Event {
    // The documentation writes the second form, the wire the first.
    #[serde(alias = "accountId")]
    account_id: Option<String>,
    data: Account,
}

/// The id of an event, the same in its repeats.
#[must_use]
pub fn event_id(body: &[u8]) -> Option<String> {
    json::read::<Kind>(body).ok()?.id.filter(|it| !it.is_empty() && !it.chars().any(char::is_control))
}

/// Parses an event. Everything about the account of the credentials comes to the same URL, payments too.
#[must_use]
pub fn parse(body: &[u8], on_behalf_of: OnBehalfOf) -> Parsed {
    match json::read::<Kind>(body) {
        Err(error) => return unreadable(&error),
        Ok(Kind { name, .. }) if name == CLOSED => return Parsed::Ignored("closed"),
        Ok(Kind { name, .. }) if !name.starts_with(EVENTS) => return Parsed::Ignored("unknown_type"),
        Ok(_) => {}
    }
    match json::read::<Event>(body) {
        Err(error) => unreadable(&error),
        Ok(Event { account_id, data }) => {
            let owner = account_id.filter(|_| on_behalf_of == OnBehalfOf::Profile);
            ours(data, owner.as_deref())
        }
    }
}

/// Parses an item of the list.
#[must_use]
pub fn parse_item(body: &[u8]) -> Parsed {
    match json::read::<Account>(body) {
        Err(error) => unreadable(&error),
        // A closed account says no to an opening that waits; the status API tells it that.
        Ok(account) if account.status == "CLOSED" => Parsed::Ignored("closed"),
        Ok(account) => ours(account, None),
    }
}

/// An account that the service did not ask for is no concern of it, and must not become a dead letter.
fn ours(account: Account, owner: Option<&str>) -> Parsed {
    if account.opening().is_none() {
        return Parsed::Ignored("not_ours");
    }
    account.into_report(owner).map_or_else(Parsed::Unreadable, |report| Parsed::Reports(vec![report]))
}

/// The body of a simulated event. It contains no time, so equal messages have equal bytes.
#[must_use]
pub fn simulate(report: &Report) -> Vec<u8> {
    let (name, status) = match report.verdict {
        Verdict::Completed => ("global_account.active", "ACTIVE"),
        Verdict::Rejected => ("global_account.failed", "FAILED"),
        Verdict::Started | Verdict::Pending => ("global_account.processing", "PROCESSING"),
        Verdict::Unknown => ("global_account.changed", report.word.as_str()),
    };
    let tracking_id = report.reference.as_ref().map(ToString::to_string).unwrap_or_default();
    let (owner, id) = OnBehalfOf::Profile.split(&tracking_id);
    json!({
        "name": name,
        "account_id": owner,
        "data": {
            "id": id,
            "status": status,
            "request_id": report.our_reference,
            "iban": report.iban,
            "swift_code": report.bic,
            "failure_reason": report.reason,
        }
    })
    .to_string()
    .into_bytes()
}
