//! A caller's request after validation.

use serde::{Deserialize, Serialize};

use super::text::string_enum;

string_enum!(
    /// The kind of customer.
    CustomerType {
        /// A legal person.
        Company = "company",
        /// A self-employed person.
        Freelancer = "freelancer",
        /// A private person.
        Individual = "individual",
    }
);

string_enum!(
    /// How the account is requested at the provider.
    Flow {
        /// Submit, then wait for the answer by webhook or poll.
        Async = "async",
        /// The legacy call, which blocks until the provider decides.
        Sync = "sync",
    }
);

/// A validated request for an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The market of the account: ISO 3166 alpha-2.
    pub market: String,
    /// The kind of customer.
    pub customer_type: CustomerType,
    /// The account's currency: ISO 4217.
    pub currency: String,
    /// The flow; it never changes.
    pub flow: Flow,
    /// The provider's name.
    pub provider: String,
    /// The caller's reference for the customer.
    pub customer_reference: String,
}

/// The customer's personal data, stored only in the anchor, where it can be erased.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The caller's reference for the customer.
    pub reference: String,
    /// The legal or personal name.
    pub name: String,
    /// The customer's e-mail address.
    pub email: String,
    /// The country of residence: ISO 3166 alpha-2.
    pub country: String,
}

impl std::fmt::Debug for Customer {
    /// Keeps names and addresses out of logs and panics.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Customer").field("reference", &self.reference).finish_non_exhaustive()
    }
}
