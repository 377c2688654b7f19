//! The life of an account request at the bank: progress, decision, and the webhooks about both.
//!
//! A decision enters the ledger before it is sent, so that the ledger is right even if the message is lost. All
//! tasks end when the simulator stops; unsent messages are then lost, as in a crash.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::banks::News;
use super::mint;
use super::plan::{Decision, Fold, Plan, Verdict, Webhooks};
use super::snapshot::{AccountRequest, Status};
use super::webhooks::RawWebhook;
use super::world::World;
use clock::Time;

/// The maximum number of concurrent copies of a message.
const MAX_COPIES: u32 = 100;

/// A decision. Its webhook may still be on the way, even after a drop.
#[derive(Debug)]
pub struct Decided {
    /// The request as the bank reports it now.
    pub request: AccountRequest,
    told: oneshot::Receiver<Option<u16>>,
}

impl Decided {
    /// Waits until the decision's webhook is acknowledged or given up (resends and contradictions may follow). Returns
    /// the receiver's last status; None: never sent or never answered.
    pub async fn told(self) -> Option<u16> {
        self.told.await.ok().flatten()
    }
}

/// Starts the life of a request. Returns an early decision, for which the submission's answer must wait.
pub(super) fn begin(world: &Arc<World>, at: usize) -> Option<Decided> {
    let plan = world.ledger().plan(at)?;
    if plan.webhooks.early
        && let Decision::By(verdict) = &plan.decision
    {
        return decide(world, at, verdict);
    }
    world.spawn(live(Arc::clone(world), at, plan));
    None
}

/// The same of a request that may be decided already: then only its news is left.
pub(super) fn begin_decided(world: &Arc<World>, at: usize) {
    let decided = {
        let ledger = world.ledger();
        ledger.request(at).filter(|it| it.status.is_decided()).cloned().zip(ledger.plan(at))
    };
    match decided {
        Some((request, plan)) => {
            let (tell, _) = oneshot::channel();
            world.spawn(announce(Arc::clone(world), request, plan, tell));
        }
        None => drop(begin(world, at)),
    }
}

async fn live(world: Arc<World>, at: usize, plan: Plan) {
    let half = plan.decide_after / 2;
    if plan.progress {
        sleep(half).await;
        let now = world.clock.now();
        let status = if plan.on_hold { Status::OnHold } else { Status::InProgress };
        let request = world.ledger().progress(at, status, now);
        if let Some(request) = request.filter(|it| !plan.webhooks.reordered && !it.blocking) {
            let news = news(&world, &request, status, now, false);
            let (telling, fold) = (Arc::clone(&world), plan.webhooks.fold);
            world.spawn(async move {
                tell(&telling, news, fold, 1).await;
            });
        }
    }
    if let Decision::By(verdict) = &plan.decision {
        sleep(if plan.progress { plan.decide_after.saturating_sub(half) } else { plan.decide_after }).await;
        decide(&world, at, verdict);
    }
}

/// Decides a request and sends the webhooks of its plan. None: already decided.
pub(super) fn decide(world: &Arc<World>, at: usize, verdict: &Verdict) -> Option<Decided> {
    let (request, plan) = {
        let mut ledger = world.ledger();
        (ledger.decide(at, verdict, world.clock.now())?, ledger.plan(at)?)
    };
    world.decided.notify_waiters();
    let (tell, told) = oneshot::channel();
    // The caller of the blocking call gets the decision as its answer.
    if !request.blocking {
        world.spawn(announce(Arc::clone(world), request.clone(), plan, tell));
    }
    Some(Decided { request, told })
}

/// Waits for the decision of a request. None: the simulator stopped, or no such request exists.
pub(super) async fn decision(world: &World, at: usize) -> Option<AccountRequest> {
    loop {
        let told = world.decided.notified();
        let request = world.ledger().request(at).cloned()?;
        if request.status.is_decided() {
            return Some(request);
        }
        world.stop.run_until_cancelled(told).await?;
    }
}

async fn announce(world: Arc<World>, request: AccountRequest, plan: Plan, told: oneshot::Sender<Option<u16>>) {
    let Webhooks { thin, copies, fold, .. } = plan.webhooks;
    let message = news(&world, &request, request.status, request.updated_at, thin);
    sleep(plan.webhooks.delay).await;
    let id = world.message_id();
    if plan.webhooks.forged_first {
        forge(&world, &id, &request).await;
    }
    let status = if plan.webhooks.dropped {
        world.ledger().counts.webhooks_dropped += 1;
        None
    } else {
        tell_as(&world, id, message, fold, copies.clamp(1, MAX_COPIES)).await
    };
    // The receiver may be gone.
    let _ = told.send(status);

    if plan.webhooks.reordered && plan.progress {
        let message = news(&world, &request, Status::InProgress, request.created_at, false);
        tell(&world, message, fold, 1).await;
    }
    if let Some(after) = plan.webhooks.resend_after {
        sleep(after).await;
        {
            let mut ledger = world.ledger();
            ledger.counts.webhooks_resent += 1;
            ledger.counts.webhooks_duplicated += u64::from(!plan.webhooks.dropped);
        }
        let message = news(&world, &request, request.status, world.clock.now(), thin);
        tell(&world, message, fold, 1).await;
    }
    if let Some(after) = plan.webhooks.contradiction_after {
        sleep(after).await;
        tell(&world, contradiction(&world, request), fold, 1).await;
    }
}

async fn tell(world: &World, message: Option<RawWebhook>, fold: Fold, copies: u32) -> Option<u16> {
    tell_as(world, world.message_id(), message, fold, copies).await
}

/// Sends concurrent copies of one message, each until acknowledged; returns the last status. None: the bank sends no such news.
async fn tell_as(world: &World, id: String, message: Option<RawWebhook>, fold: Fold, copies: u32) -> Option<u16> {
    let message = RawWebhook { id: Some(id), fold, ..message? };
    {
        let mut ledger = world.ledger();
        ledger.counts.webhooks_sent += u64::from(copies);
        ledger.counts.webhooks_duplicated += u64::from(copies - 1);
    }
    join_all((0..copies).map(|_| deliver(world, &message))).await.into_iter().flatten().last()
}

async fn deliver(world: &World, message: &RawWebhook) -> Option<u16> {
    let mut last = None;
    for attempt in 0..=world.webhook_retries.len() {
        let answer = world.send(message).await;
        last = answer.ok().map(|answer| answer.status).or(last);
        if last.is_some_and(|status| (200..300).contains(&status)) {
            return last;
        }
        if let Some(pause) = world.webhook_retries.get(attempt) {
            sleep(*pause).await;
            world.ledger().counts.webhook_retries += 1;
        }
    }
    world.ledger().counts.webhooks_given_up += 1;
    last
}

/// Sends a forged account under the id of the true message. A receiver that believes it, or that records the id before
/// it checks the signature, is exposed.
async fn forge(world: &World, id: &str, request: &AccountRequest) {
    let stranger = mint::iban(&request.market, world.seed, &["stranger", id]);
    let lie = AccountRequest {
        status: Status::Completed,
        iban: Some(stranger),
        bic: Some(mint::bic(&request.market)),
        rejection_reason: None,
        ..request.clone()
    };
    let Some(message) = news(world, &lie, lie.status, lie.updated_at, false) else { return };
    world.ledger().counts.forged_sent += 1;
    let secret = Some("whsec_Zm9yZ2VkLWJ5LWEtc3RyYW5nZXI=".to_owned());
    let answer = world.send(&RawWebhook { id: Some(id.to_owned()), secret, ..message }).await;
    world.ledger().counts.forged_accepted += u64::from(answer.is_ok_and(|answer| (200..300).contains(&answer.status)));
}

fn contradiction(world: &World, mut request: AccountRequest) -> Option<RawWebhook> {
    if request.status == Status::Completed {
        request.status = Status::Rejected;
        (request.iban, request.bic) = (None, None);
        request.rejection_reason = Some("closed_by_compliance".to_owned());
    } else {
        request.status = Status::Completed;
        let id = &request.account_opening_request_id;
        request.iban = Some(mint::iban(&request.market, world.seed, &["contradiction", id]));
        request.bic = Some(mint::bic(&request.market));
        request.rejection_reason = None;
    }
    news(world, &request, request.status, world.clock.now(), false)
}

/// The news about a request in its bank's language. None: that bank sends none.
fn news(world: &World, request: &AccountRequest, status: Status, since: Time, thin: bool) -> Option<RawWebhook> {
    let order = {
        let ledger = world.ledger();
        ledger.by_id(&request.account_opening_request_id).and_then(|at| ledger.order(at).cloned()).unwrap_or_default()
    };
    let bare = AccountRequest { iban: None, bic: None, ..request.clone() };
    let shown = if thin || status != Status::Completed { &bare } else { request };
    let News { body, headers } = order.bank.news(shown, &order, (status, since))?;
    Some(RawWebhook { bank: order.bank, body, headers, ..RawWebhook::default() })
}
