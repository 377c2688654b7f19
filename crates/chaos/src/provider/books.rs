//! The bank's requests as its files need them: the register and the charges are written over this record.

use std::collections::HashMap;

use ::world::reports::Entry;
use ::world::{AccountRequest, Status};
use chrono::DateTime;

use super::script::Ending;
use super::world::{Request, State};

pub fn entries(state: &State) -> Vec<Entry> {
    let mut made: HashMap<&str, usize> = HashMap::new();
    for request in &state.requests {
        *made.entry(&request.word.reference).or_default() += 1;
    }
    let is_only = |it: &Request| made.get(it.word.reference.as_str()) == Some(&1);
    state.requests.iter().map(|it| entry(it, is_only(it))).collect()
}

fn entry(request: &Request, fit: bool) -> Entry {
    let word = &request.word;
    let time = |micros| DateTime::from_timestamp_micros(micros).unwrap_or_default();
    Entry {
        request: AccountRequest {
            account_opening_request_id: word.tracking_id.clone(),
            reference: word.reference.clone(),
            status: status(word.status),
            iban: word.iban.clone(),
            bic: word.bic.clone(),
            rejection_reason: word.rejection_reason.clone(),
            updated_at: time(request.updated_at),
            created_at: time(request.created_at),
            decided_at: request.decided_at.map(time),
            market: word.market.clone(),
            currency: request.currency.clone(),
            customer_type: request.customer_type.clone(),
            blocking: false,
        },
        unheard: false,
        fit,
        // Webhooks are dropped and delayed at random: a poll repairs that within seconds.
        prompt: true,
        waits: matches!(request.ending, Ending::Late | Ending::Silent),
    }
}

fn status(word: &str) -> Status {
    match word {
        "INITIATED" => Status::Initiated,
        "ON_HOLD" => Status::OnHold,
        "COMPLETED" => Status::Completed,
        "REJECTED" => Status::Rejected,
        _ => Status::InProgress,
    }
}
