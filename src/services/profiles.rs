//! The profile service: one profile per opening.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{Opening, ProfileId};
use crate::outbound::{CallError, Client, Gate, Gates};

#[derive(Clone, Debug)]
pub struct ProfileService {
    client: Client,
    gate: Gate,
    base_url: String,
}

#[derive(Deserialize)]
struct Created {
    profile_id: ProfileId,
}

impl ProfileService {
    #[must_use]
    pub fn new(base_url: String, client: Client, gates: &Gates) -> Self {
        Self { client, gate: Self::gate_of(gates), base_url }
    }

    /// The gate of its calls, from `gates`.
    #[must_use]
    pub fn gate_of(gates: &Gates) -> Gate {
        gates.gate("profiles", "create")
    }

    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Creates the profile; idempotent by key.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    pub async fn create(&self, key: Uuid, opening: &Opening, customer: &Value) -> Result<ProfileId, CallError> {
        let body = json!({
            "reference": opening.id,
            "market": opening.request.market,
            "customer_type": opening.request.customer_type,
            "customer": customer,
        });
        let call = self
            .client
            .post(&format!("{}/v1/profiles", self.base_url))
            .header("Idempotency-Key", key.to_string())
            .json(&body);
        self.client.call_json::<Created>(&self.gate, call).await.map(|it| it.profile_id)
    }
}
