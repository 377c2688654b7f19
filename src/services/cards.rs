//! The card issuer: one virtual card per account.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::domain::{Account, CardId, OpeningId};
use crate::outbound::{CallError, Client, Gate, Gates};

#[derive(Clone, Debug)]
pub struct CardIssuer {
    client: Client,
    gate: Gate,
    base_url: String,
}

#[derive(Deserialize)]
struct Issued {
    card_id: CardId,
}

impl CardIssuer {
    #[must_use]
    pub fn new(base_url: String, client: Client, gates: &Gates) -> Self {
        Self { client, gate: gates.gate("cards", "issue"), base_url }
    }

    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Issues the card; idempotent by key.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    pub async fn issue(&self, key: Uuid, opening: OpeningId, account: &Account) -> Result<CardId, CallError> {
        let body = json!({"opening_id": opening, "iban": account.iban, "profile_id": account.wait.profile});
        let call = self
            .client
            .post(&format!("{}/v1/virtual-cards", self.base_url))
            .header("Idempotency-Key", key.to_string())
            .json(&body);
        self.client.call_json::<Issued>(&self.gate, call).await.map(|it| it.card_id)
    }
}
