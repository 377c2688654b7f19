//! Parses Solaris' answers and events, and translates its words.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::clock::Time;
use crate::domain::{CustomerType, ProviderRef, Report, Verdict};
use crate::outbound::json::{self, Prose, sanitize};
use crate::outbound::{Answer, CallError, Token, is_code};
use crate::provider::wire::{time, unreadable};
use crate::provider::{Parsed, Submission};

/// The type of the events about opening requests.
const ACCOUNT_OPENING_REQUEST: &str = "ACCOUNT_OPENING_REQUEST";

/// The product that an account is opened as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// `Person` or `Business`.
    pub customer_type: &'static str,
    /// The product's name, with the country in it.
    pub name: String,
    /// The account's type.
    pub account_type: &'static str,
}

/// The product of a customer in a market. Freelancers are persons too.
#[must_use]
pub fn product(market: &str, customer_type: CustomerType) -> Option<Product> {
    let (person, kind, account_type) = match customer_type {
        CustomerType::Individual => ("Person", "CONSUMER", "CHECKING_PERSONAL"),
        CustomerType::Freelancer => ("Person", "FREELANCER", "CHECKING_SOLE_PROPRIETOR"),
        CustomerType::Company => ("Business", "BUSINESS", "CHECKING_BUSINESS"),
    };
    let name = format!("CURRENT_ACCOUNT_{kind}_{}", country(market)?);
    Some(Product { customer_type: person, name, account_type })
}

/// A market as product names write it. None: there is no product.
#[must_use]
pub fn country(market: &str) -> Option<&'static str> {
    match market {
        "DE" => Some("GERMANY"),
        "FR" => Some("FRANCE"),
        "IT" => Some("ITALY"),
        "ES" => Some("SPAIN"),
        _ => None,
    }
}

/// An opening request, the same in all answers. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
pub struct OpeningRequest {
    id: String,
    customer_id: Option<String>,
    status: String,
    product_name: Option<String>,
    account_type: Option<String>,
    account_bic: Option<String>,
    iban: Option<String>,
    rejection_reason: Option<RejectionReason>,
    created_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RejectionReason {
    failed_validation: Option<Prose>,
}

/// A page of the list: each item by itself, so that one that cannot be read hides no other.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct List(pub Vec<Box<RawValue>>);

impl OpeningRequest {
    /// Reads an item of the list. None: it is no opening request.
    pub fn read(item: &RawValue) -> Option<Self> {
        json::read(item.get().as_bytes()).ok()
    }

    /// Translates it.
    ///
    /// # Errors
    /// If the tracking id is invalid.
    pub fn into_report(self) -> Result<Report, CallError> {
        let reference = ProviderRef::new(self.id).map_err(|why| CallError::unusable(format!("id {why}")))?;
        let some = |text: Option<String>| text.filter(|it| !it.is_empty()).map(|it| sanitize(&it));
        Ok(Report {
            reference: Some(reference),
            our_reference: None,
            verdict: verdict(&self.status),
            word: sanitize(&self.status),
            iban: some(self.iban),
            bic: some(self.account_bic),
            reason: some(self.rejection_reason.and_then(|it| it.failed_validation).map(|it| it.0)),
        })
    }

    /// Whether this submission may have made it: the customer's, for the same product, and not older than the opening.
    pub fn is_of(&self, submission: &Submission, born: Time) -> bool {
        let Some(product) = product(&submission.request.market, submission.request.customer_type) else { return false };
        let created_at = self.created_at.as_deref().and_then(time);
        self.customer_id.as_deref() == Some(submission.profile.as_str())
            && self.product_name.as_ref() == Some(&product.name)
            && self.account_type.as_deref() == Some(product.account_type)
            && created_at.is_none_or(|at| at >= born)
    }

    /// Its place among several of one submission: the completed one first, a rejected one last, and the older before the newer.
    pub fn rank(&self) -> (u8, Option<Time>) {
        let place = match verdict(&self.status) {
            Verdict::Completed => 0,
            Verdict::Started | Verdict::Pending => 1,
            Verdict::Unknown => 2,
            Verdict::Rejected => 3,
        };
        (place, self.created_at.as_deref().and_then(time))
    }
}

/// Translates a status word. It alone decides: a completed request may carry a reason of rejection.
#[must_use]
pub fn verdict(status: &str) -> Verdict {
    match status {
        "INITIATED" => Verdict::Started,
        "IN_PROGRESS" => Verdict::Pending,
        "COMPLETED" => Verdict::Completed,
        "REJECTED" => Verdict::Rejected,
        _ => Verdict::Unknown,
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorItem>,
}

#[derive(Deserialize)]
struct ErrorItem {
    code: String,
}

/// The code of an answer in the bank's form of an error. None: perhaps a gateway's.
#[must_use]
pub fn error_code(body: &[u8]) -> Option<String> {
    let errors = json::read::<Errors>(body).ok()?.errors;
    errors.into_iter().map(|it| it.code).find(|code| is_code(code))
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<Value>,
}

/// Reads an access token. A life that is missing or absurd is none: the token is used until it is refused.
///
/// # Errors
/// If there is none.
pub fn token(answer: &Answer, now: Time) -> Result<Token, CallError> {
    let TokenAnswer { access_token, expires_in } = answer.json()?;
    if access_token.is_empty() {
        return Err(CallError::unusable("an empty access token"));
    }
    let life = expires_in.and_then(|it| it.as_i64()).and_then(TimeDelta::try_seconds);
    let ends_at = life.and_then(|it| now.checked_add_signed(it));
    Ok(Token { secret: access_token.into(), ends_at })
}

/// An event. It brings no account; the two fields for one serve simulated events, and so does our reference.
#[derive(Deserialize)]
struct Event {
    account_opening_request_id: Option<String>,
    reference: Option<String>,
    status: Option<String>,
    iban: Option<String>,
    account_bic: Option<String>,
    error: Option<EventError>,
}

#[derive(Deserialize)]
struct EventError {
    code: Option<Prose>,
}

/// Parses an event. The type in the header is not signed, so it decides only about bodies that name no opening request.
#[must_use]
pub fn parse(kind: Option<&str>, body: &[u8]) -> Parsed {
    if kind.is_some_and(|it| it != ACCOUNT_OPENING_REQUEST) {
        return Parsed::Ignored("unknown_type");
    }
    let event = match json::read::<Event>(body) {
        Ok(event) => event,
        Err(error) => return unreadable(&error),
    };
    if event.account_opening_request_id.is_none() && event.reference.is_none() {
        return match kind {
            Some(ACCOUNT_OPENING_REQUEST) => Parsed::Unreadable("no account_opening_request_id".to_owned()),
            _ => Parsed::Ignored("unknown_type"),
        };
    }
    let reference = event.account_opening_request_id.map(ProviderRef::new).transpose();
    let (Ok(reference), Some(status)) = (reference, event.status) else {
        return Parsed::Unreadable("an unusable account_opening_request_id, or no status".to_owned());
    };
    let some = |text: Option<String>| text.filter(|it| !it.is_empty()).map(|it| sanitize(&it));
    Parsed::Reports(vec![Report {
        reference,
        our_reference: some(event.reference),
        verdict: verdict(&status),
        word: sanitize(&status),
        iban: some(event.iban),
        bic: some(event.account_bic),
        reason: some(event.error.and_then(|it| it.code).map(|it| it.0)),
    }])
}

/// The body of a simulated event. It contains no time, so equal messages have equal bytes.
#[must_use]
pub fn simulate(report: &Report) -> Vec<u8> {
    let status = match report.verdict {
        Verdict::Started => "INITIATED",
        Verdict::Pending => "IN_PROGRESS",
        Verdict::Completed => "COMPLETED",
        Verdict::Rejected => "REJECTED",
        Verdict::Unknown => &report.word,
    };
    json!({
        "account_opening_request_id": report.reference,
        "reference": report.our_reference,
        "status": status,
        "iban": report.iban,
        "account_bic": report.bic,
        "error": report.reason.as_ref().map(|code| json!({"code": code})),
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests;
