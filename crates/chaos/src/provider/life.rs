//! The life of an accepted account request: its script runs, and the bank's messages go to the load.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::mint;
use super::script::{Ending, Script};
use super::world::{Request, World};
use crate::files::now;
use crate::record::Did;

/// Silent requests are decided within this time, in milliseconds.
const SOON: u64 = 2_000;

/// Runs the script of the request at this index.
pub fn begin(world: &Arc<World>, at: usize, script: Script) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let stop = world.stop.clone();
        let _ = stop.run_until_cancelled(run(&world, at, script)).await;
    });
}

async fn run(world: &World, at: usize, script: Script) {
    let begun = tokio::time::Instant::now();
    for (after, status) in script.progress {
        tokio::time::sleep_until(begun + after).await;
        progress(world, at, status);
    }
    tokio::time::sleep_until(begun + script.decide_after).await;
    let speaks = match script.ending {
        Ending::Completed | Ending::Rejected => true,
        Ending::Late => world.state().late_speak,
        Ending::Silent => false,
    };
    if speaks {
        decide(world, at).await;
    }
}

fn progress(world: &World, at: usize, status: &'static str) {
    let mut state = world.state();
    let Some(request) = state.requests.get_mut(at).filter(|it| !is_decided(it)) else { return };
    request.word.status = status;
    request.updated_at = now();
    let said = request.word.clone();
    state.say(said);
}

/// Decides: first in the ledger, then visible, then sent. Only the first call for a request decides.
pub async fn decide(world: &World, at: usize) {
    let Some((said, updated_at)) = world.state().requests.get_mut(at).and_then(take_decision) else { return };
    let decided = Did::Decided {
        at: updated_at,
        reference: said.reference.clone(),
        tracking_id: said.tracking_id.clone(),
        status: said.status.to_owned(),
        iban: said.iban.clone(),
        bic: said.bic.clone(),
        rejection_reason: said.rejection_reason.clone(),
    };
    if world.ledger.record_durably(&decided).await.is_err() {
        return;
    }
    let mut state = world.state();
    state.counts.completed += u64::from(said.status == "COMPLETED");
    state.counts.rejected += u64::from(said.status == "REJECTED");
    if let Some(request) = state.requests.get_mut(at) {
        request.word = said.clone();
        request.updated_at = updated_at;
        request.decided_at = Some(updated_at);
    }
    state.say(said);
}

/// Takes the decision of a request, unless another call has taken it.
fn take_decision(request: &mut Request) -> Option<(super::Word, i64)> {
    if std::mem::replace(&mut request.deciding, true) {
        return None;
    }
    let mut word = request.word.clone();
    if request.ending == Ending::Rejected {
        word.status = "REJECTED";
        word.rejection_reason = Some(request.reason.to_owned());
    } else {
        word.status = "COMPLETED";
        word.iban = Some(mint::iban(&word.market, request.opening, request.place));
        word.bic = Some(mint::bic(&word.market));
    }
    Some((word, now()))
}

fn is_decided(request: &Request) -> bool {
    matches!(request.word.status, "COMPLETED" | "REJECTED")
}

/// Lets late requests be decided; returns their number.
pub fn finish_silent(world: &Arc<World>) -> usize {
    let late: Vec<(usize, Duration)> = {
        let mut state = world.state();
        state.late_speak = true;
        let late = |(at, it): (usize, &Request)| (it.ending == Ending::Late && !it.deciding).then_some(at);
        let late: Vec<usize> = state.requests.iter().enumerate().filter_map(late).collect();
        late.into_iter().map(|at| (at, Duration::from_millis(state.rng.random_range(0..SOON)))).collect()
    };
    for &(at, after) in &late {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            decide(&world, at).await;
        });
    }
    late.len()
}
