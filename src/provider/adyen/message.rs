//! Parses Adyen's answers and events, and translates its words.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::settings::Mode;
use crate::domain::{OpeningId, ProviderRef, Report, Verdict};
use crate::outbound::is_code;
use crate::outbound::json::{self, Prose, sanitize};
use crate::provider::wire::unreadable;
use crate::provider::{BicsByMarket, Parsed};

/// The types of events about payment instruments.
const EVENTS: [&str; 2] = ["balancePlatform.paymentInstrument.created", "balancePlatform.paymentInstrument.updated"];
/// The instrument that is a bank account; the other type is a card.
const BANK_ACCOUNT: &str = "bankAccount";

/// A payment instrument, the same in answers and events. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instrument {
    id: String,
    r#type: Option<String>,
    status: Option<String>,
    status_reason: Option<Prose>,
    issuing_country_code: Option<String>,
    reference: Option<String>,
    bank_account: Option<BankAccount>,
}

#[derive(Debug, Deserialize)]
struct BankAccount {
    iban: Option<String>,
}

/// A page of a balance account's instruments.
#[derive(Deserialize)]
pub struct List {
    /// Each by itself, so that one that cannot be read hides no other.
    #[serde(rename = "paymentInstruments")]
    pub instruments: Vec<Box<RawValue>>,
    /// Whether there is another page.
    #[serde(rename = "hasNext")]
    pub has_next: bool,
}

impl Instrument {
    /// Reads an item of the list. None: it is no instrument.
    pub fn read(item: &RawValue) -> Option<Self> {
        json::read(item.get().as_bytes()).ok()
    }

    fn is_card(&self) -> bool {
        self.r#type.as_deref().is_some_and(|it| it != BANK_ACCOUNT)
    }

    /// The opening that it was made for. None: it was made otherwise.
    fn opening(&self) -> Option<OpeningId> {
        self.reference.as_deref().and_then(|it| Uuid::parse_str(it).ok()).map(OpeningId)
    }

    /// Whether it is the account number of this opening.
    pub fn is_of(&self, opening: OpeningId) -> bool {
        !self.is_card() && self.opening() == Some(opening)
    }

    /// Its place among several of one opening: an active one first, a closed one last.
    pub fn rank(&self) -> u8 {
        match self.verdict() {
            Verdict::Completed => 0,
            Verdict::Rejected => 2,
            Verdict::Started | Verdict::Pending | Verdict::Unknown => 1,
        }
    }

    /// Translates the status. A missing status is asked for again, and never guessed.
    fn verdict(&self) -> Verdict {
        match self.status.as_deref() {
            Some("active") => Verdict::Completed,
            Some("inactive") => Verdict::Pending,
            Some("closed") => Verdict::Rejected,
            _ => Verdict::Unknown,
        }
    }

    /// Translates it. The BIC is that of the country, and comes with the account number alone.
    ///
    /// # Errors
    /// If its id is invalid.
    pub fn into_report(self, bics: &BicsByMarket) -> Result<Report, String> {
        let (verdict, our_reference) = (self.verdict(), self.opening().map(|it| it.to_string()));
        let reference = ProviderRef::new(self.id).map_err(|why| format!("id {why}"))?;
        let iban = self.bank_account.and_then(|it| it.iban).filter(|it| !it.is_empty()).map(|it| sanitize(&it));
        let country = self.issuing_country_code.or_else(|| iban.as_ref()?.get(..2).map(str::to_owned));
        let bic = country.filter(|_| iban.is_some()).and_then(|it| bics.of(&it).map(str::to_owned));
        Ok(Report {
            reference: Some(reference),
            our_reference,
            verdict,
            word: sanitize(self.status.as_deref().unwrap_or_default()),
            iban,
            bic,
            reason: self.status_reason.map(|it| sanitize(&it.0)).filter(|it| !it.is_empty()),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    error_code: String,
}

/// The code of an answer in the bank's form of an error. None: perhaps a gateway's.
#[must_use]
pub fn error_code(body: &[u8]) -> Option<String> {
    json::read::<ErrorBody>(body).ok().map(|it| it.error_code).filter(|code| is_code(code))
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
    environment: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    payment_instrument: Instrument,
}

/// Parses an event. Everything about the platform may come to the same URL; an event that the service did not ask for is no concern of
/// it, and must not become a dead letter.
#[must_use]
pub fn parse(body: &[u8], mode: Mode, bics: &BicsByMarket) -> Parsed {
    let Kind { r#type, environment } = match json::read(body) {
        Ok(kind) => kind,
        Err(error) => return unreadable(&error),
    };
    if !EVENTS.contains(&r#type.as_str()) {
        return Parsed::Ignored("unknown_type");
    }
    match environment {
        None => return Parsed::Unreadable("no environment".to_owned()),
        Some(it) if it != mode.as_str() => return Parsed::Ignored(if mode == Mode::Live { "test" } else { "live" }),
        Some(_) => {}
    }
    match json::read::<Event>(body) {
        Err(error) => unreadable(&error),
        Ok(Event { data: Data { payment_instrument: it } }) if it.is_card() => Parsed::Ignored("card"),
        Ok(Event { data: Data { payment_instrument: it } }) if it.opening().is_none() => Parsed::Ignored("not_ours"),
        Ok(Event { data: Data { payment_instrument: it } }) => {
            it.into_report(bics).map_or_else(Parsed::Unreadable, |report| Parsed::Reports(vec![report]))
        }
    }
}

/// The body of a simulated event. It contains no time, so equal messages have equal bytes.
#[must_use]
pub fn simulate(report: &Report, mode: Mode) -> Vec<u8> {
    let status = match report.verdict {
        Verdict::Started | Verdict::Pending => "inactive",
        Verdict::Completed => "active",
        Verdict::Rejected => "closed",
        Verdict::Unknown => &report.word,
    };
    json!({
        "data": {
            "paymentInstrument": {
                "id": report.reference,
                "type": BANK_ACCOUNT,
                "status": status,
                "statusReason": report.reason,
                "issuingCountryCode": report.iban.as_deref().and_then(|it| it.get(..2)),
                "reference": report.our_reference,
                "bankAccount": report.iban.as_ref().map(|iban| json!({"type": "iban", "iban": iban})),
            }
        },
        "environment": mode,
        "type": EVENTS[1],
    })
    .to_string()
    .into_bytes()
}
