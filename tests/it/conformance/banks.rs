//! The banks of the world, as far as the kit must know them.

use world::Bank;

use crate::support::{TestApp, TestAppBuilder};

/// What differs from bank to bank.
pub struct Described {
    pub bank: Bank,
    /// Where it opens accounts, and where it does not.
    pub market: &'static str,
    pub unserved: Option<&'static str>,
    /// Whether the answer to the submission holds the account.
    pub is_at_once: bool,
    /// The status words of a new, a completed and a rejected request.
    pub words: [&'static str; 3],
}

impl Described {
    pub fn name(&self) -> &'static str {
        self.bank.name()
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
        words: ["INITIATED", "COMPLETED", "REJECTED"],
    }
}

pub fn solaris() -> Described {
    Described {
        bank: Bank::Solaris,
        market: "DE",
        unserved: Some("IT"),
        is_at_once: false,
        words: ["INITIATED", "COMPLETED", "REJECTED"],
    }
}

pub fn airwallex() -> Described {
    Described {
        bank: Bank::Airwallex,
        market: "GB",
        unserved: Some("US"),
        is_at_once: false,
        words: ["PROCESSING", "ACTIVE", "FAILED"],
    }
}

pub fn adyen() -> Described {
    Described {
        bank: Bank::Adyen,
        market: "NL",
        unserved: Some("FR"),
        is_at_once: true,
        words: ["inactive", "active", "closed"],
    }
}
