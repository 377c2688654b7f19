//! The banks of the world, as far as the kit must know them.

use account_opening::domain::{ProviderRef, Report, Verdict};
use world::{Bank, RawWebhook};

use crate::support::{TestApp, TestAppBuilder};

/// The properties that differ from bank to bank.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact about a bank, and none follows from another")]
pub struct Described {
    pub bank: Bank,
    /// Where it opens accounts, and where it does not.
    pub market: &'static str,
    pub unserved: Option<&'static str>,
    /// Whether the answer to the submission holds the account.
    pub is_at_once: bool,
    /// Whether its events say that an account is open, and leave the account to a look-up.
    pub is_thin: bool,
    /// Whether its events and answers name the opening, so that they are found before the tracking id is known.
    pub names_the_opening: bool,
    /// Whether a repeated submission has its effect once. Where not, a submission that may have been made is never repeated: what
    /// the bank's list does not show is left to a person.
    pub is_keyed: bool,
    /// The error answers to a submission that are its final no (NexusBank alone has such).
    pub final_errors: &'static [u16],
    /// The status words of a new, a completed and a rejected request.
    pub words: [&'static str; 3],
}

impl Described {
    pub fn name(&self) -> &'static str {
        self.bank.name()
    }

    /// The bank's report about a request, in no more than the words that every bank has.
    pub fn report(&self, tracking_id: &str, opening: &str, verdict: Verdict) -> Report {
        let word = match verdict {
            Verdict::Completed => self.words[1],
            Verdict::Rejected => self.words[2],
            Verdict::Started | Verdict::Pending | Verdict::Unknown => "IN_PROGRESS",
        };
        Report {
            reference: Some(ProviderRef::new(tracking_id).unwrap()),
            our_reference: self.names_the_opening.then(|| opening.to_owned()),
            verdict,
            word: word.to_owned(),
            iban: None,
            bic: None,
            reason: None,
        }
    }

    /// Sends what the bank says as an event of its own; it must be acknowledged.
    pub async fn says(&self, app: &TestApp, report: &Report) {
        let provider = app.context.outside.providers.get(self.name()).unwrap();
        let body = String::from_utf8(provider.simulate(report)).unwrap();
        let webhook = RawWebhook { bank: self.bank, body, ..RawWebhook::default() };
        assert_eq!(app.world.send_webhook(&webhook).await.unwrap().status, 200);
    }

    /// A service that gives every opening to this bank.
    pub fn app(&self) -> TestAppBuilder {
        TestApp::with()
            .bank(self.bank, &format!("*={}", self.name()))
            .settings(|it| it.provider_timeout = "2s".to_owned())
    }
}

pub fn nexusbank() -> Described {
    Described {
        bank: Bank::NexusBank,
        market: "BE",
        unserved: None,
        is_at_once: false,
        is_thin: false,
        names_the_opening: true,
        is_keyed: true,
        final_errors: &[400, 422],
        words: ["INITIATED", "COMPLETED", "REJECTED"],
    }
}

pub fn solaris() -> Described {
    Described {
        bank: Bank::Solaris,
        market: "DE",
        unserved: Some("IT"),
        is_at_once: false,
        is_thin: true,
        names_the_opening: false,
        is_keyed: false,
        final_errors: &[],
        words: ["INITIATED", "COMPLETED", "REJECTED"],
    }
}

pub fn airwallex() -> Described {
    Described {
        bank: Bank::Airwallex,
        market: "GB",
        unserved: Some("US"),
        is_at_once: false,
        is_thin: false,
        names_the_opening: true,
        is_keyed: true,
        final_errors: &[],
        words: ["PROCESSING", "ACTIVE", "FAILED"],
    }
}

pub fn adyen() -> Described {
    Described {
        bank: Bank::Adyen,
        market: "NL",
        unserved: Some("FR"),
        is_at_once: true,
        is_thin: false,
        names_the_opening: true,
        is_keyed: true,
        final_errors: &[],
        words: ["inactive", "active", "closed"],
    }
}
