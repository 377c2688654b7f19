//! NexusBank's legacy call: it blocks until the bank has decided; no webhook is sent.
//!
//! The account is recorded when the call arrives, so a second account for the same opening is counted even if the first
//! answer was lost. A repeated key waits for the same answer and gets it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::Submission;
use crate::calls::{self, Asking, Taken, refusal};
use crate::endpoint::Endpoint;
use crate::ledger::Answer;
use crate::life;
use crate::snapshot::{AccountRequest, Status};
use crate::world::World;

pub(super) async fn open(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut made = None;
    let taken = calls::read::<Submission>(&world, &body).and_then(|(submission, body)| {
        submission.check(&world)?;
        let asking = Asking {
            endpoint: Endpoint::OpenAccount,
            reference: &submission.reference,
            customer_reference: submission.customer.reference.as_deref(),
            headers: &headers,
            body: &body,
        };
        calls::take(&world, &asking, |ledger| {
            made = ledger.make_order(submission.order(true), world.clock.now());
            // Kept under the key: the request that the answer will be about.
            (StatusCode::OK, json!(made))
        })
    });
    if let Some(at) = made {
        life::begin(&world, at);
    }
    let taken = match taken {
        Ok(Taken::Answer((_, at))) => Ok(Taken::Answer(decided(&world, &at).await)),
        Ok(Taken::Compressed((_, at))) => Ok(Taken::Compressed(decided(&world, &at).await)),
        other => other,
    };
    calls::reply(&world, taken).await
}

async fn decided(world: &World, at: &Value) -> Answer {
    let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
    let request = match at {
        Some(at) => life::decision(world, at).await,
        None => None,
    };
    match request {
        Some(request) => told(&request),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the bank is closing"),
    }
}

fn told(request: &AccountRequest) -> Answer {
    if request.status == Status::Rejected {
        return (StatusCode::OK, json!({ "status": request.status, "rejection_reason": request.rejection_reason }));
    }
    let id = &request.account_opening_request_id;
    let account = json!({ "account_id": id, "iban": request.iban, "bic": request.bic, "status": request.status });
    (StatusCode::CREATED, account)
}
