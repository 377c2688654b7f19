//! What a caller asks for, once it has been checked.

use serde::{Deserialize, Serialize};

use super::text::string_enum;

string_enum!(
    /// Who the account is for.
    CustomerType {
        /// A legal person.
        Company = "company",
        /// A person in business on their own.
        Freelancer = "freelancer",
        /// A private person.
        Individual = "individual",
    }
);

string_enum!(
    /// How the provider is asked.
    Flow {
        /// Ask, then wait for the answer.
        Async = "async",
        /// The legacy call that blocks until it is decided.
        Sync = "sync",
    }
);

/// A request for an account. Every field was checked at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where the account is opened: ISO 3166 alpha-2.
    pub market: String,
    /// Who it is for.
    pub customer_type: CustomerType,
    /// ISO 4217.
    pub currency: String,
    /// The flow it is opened on; an opening never changes it.
    pub flow: Flow,
    /// The provider that is asked.
    pub provider: String,
    /// The caller's own name for the customer.
    pub customer_reference: String,
}

/// The customer's personal data. It stands in the anchor alone, where it can be erased.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The caller's own name for the customer.
    pub reference: String,
    /// Legal or personal name.
    pub name: String,
    /// Where the customer is written to.
    pub email: String,
    /// ISO 3166 alpha-2.
    pub country: String,
}

impl std::fmt::Debug for Customer {
    /// Names and addresses stay out of logs and panics.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Customer").field("reference", &self.reference).finish_non_exhaustive()
    }
}
