//! What a caller asks for with a start.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::{Customer, CustomerType, Flow, Request};
use crate::provider::nexusbank;

/// A start as the caller asks for it. Its digest is made of its fields in this order.
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
    /// Of the request as it was understood: neither spaces nor the order of fields nor a default that is spelt out make it
    /// another one. The flag's decision is not part of it, or a flip would make a repeat another request.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        // A flow that was left out stands in it as `async`: stored answers are found again by every version.
        let canonical = Self { flow: Some(self.flow.unwrap_or(Flow::Async)), ..self.clone() };
        Sha256::digest(serde_json::to_vec(&canonical).unwrap_or_default()).to_vec()
    }

    /// The customer as the anchor keeps it.
    pub(super) fn customer(&self) -> Value {
        serde_json::to_value(&self.customer).unwrap_or_default()
    }

    /// The request as it is opened, on this flow.
    pub(super) fn on_flow(&self, flow: Flow) -> Request {
        Request {
            market: self.market.clone(),
            customer_type: self.customer_type,
            currency: self.currency.clone(),
            flow,
            provider: nexusbank::NAME.to_owned(),
            customer_reference: self.customer.reference.clone(),
        }
    }
}
