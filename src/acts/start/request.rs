//! A caller's start request: its fields and its digest.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::{Customer, CustomerType, Flow, Request};

/// A caller's start request. Its digest covers its fields in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StartRequest {
    pub market: String,
    pub customer_type: CustomerType,
    pub currency: String,
    /// None: the feature flag decides.
    pub flow: Option<Flow>,
    pub customer: Customer,
}

impl StartRequest {
    /// The digest of the parsed request: white space, field order and explicit defaults do not change it. The flag's
    /// decision is excluded, because changing the flag must not make a repeat a different request.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        // A missing flow is hashed as `async`, so that stored answers are found by every version.
        let canonical = Self { flow: Some(self.flow.unwrap_or(Flow::Async)), ..self.clone() };
        Sha256::digest(serde_json::to_vec(&canonical).unwrap_or_default()).to_vec()
    }

    /// The customer as the anchor keeps it.
    pub(super) fn customer(&self) -> Value {
        serde_json::to_value(&self.customer).unwrap_or_default()
    }

    /// The request as it is opened, on this flow at this provider.
    pub(super) fn opened(&self, flow: Flow, provider: &str) -> Request {
        Request {
            market: self.market.clone(),
            customer_type: self.customer_type,
            currency: self.currency.clone(),
            flow,
            provider: provider.to_owned(),
            customer_reference: self.customer.reference.clone(),
        }
    }
}
