//! Webhooks: genuine ones verify, and each kind of fault does what its name says.

use std::time::Duration;

use super::super::*;
use super::{Received, World, receiver, submission};

/// A world with a receiver of its webhooks.
async fn told(plan: Plan) -> (World, tokio::sync::mpsc::UnboundedReceiver<Received>) {
    let (url, shown) = receiver(0).await;
    let world = World::fixed(plan).await;
    world.sim.deliver_to(url);
    (world, shown)
}

fn by(webhooks: Webhooks) -> Plan {
    Plan { webhooks, ..Plan::default() }
}

#[tokio::test]
async fn a_decision_is_told_signed_and_as_the_ledger_has_it() {
    let (world, mut shown) = told(Plan { progress: true, ..Plan::by_hand() }).await;
    let id = world.accepted("o1").await;
    let first = shown.recv().await.unwrap();
    world.sim.decide("o1", &Verdict::complete()).unwrap();
    let second = shown.recv().await.unwrap();
    assert_eq!((first.status(), second.status()), ("IN_PROGRESS".to_owned(), "COMPLETED".to_owned()));
    assert!(first.is_genuine() && second.is_genuine());
    assert_ne!(first.id(), second.id());
    let opening = world.sim.opening("o1").unwrap();
    assert_eq!(second.data()["iban"].as_str(), opening.iban());
    assert_eq!(second.data()["account_opening_request_id"], id);
    assert_eq!(second.data()["reference"], "o1");
    assert!(first.data()["iban"].is_null());
}

#[tokio::test]
async fn copies_share_id_and_body_and_a_resend_shares_neither() {
    let webhooks = Webhooks { copies: 3, resend_after: Some(Duration::from_millis(20)), ..Webhooks::default() };
    let (world, mut shown) = told(by(webhooks)).await;
    world.accepted("o1").await;
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(shown.recv().await.unwrap());
    }
    assert!(got.iter().all(Received::is_genuine));
    assert!(got[1..3].iter().all(|copy| copy.id() == got[0].id() && copy.body == got[0].body));
    assert!(got[3].id() != got[0].id() && got[3].body != got[0].body);
    assert_eq!(got[3].data(), got[0].data());
    let counts = world.sim.counts();
    assert_eq!((counts.webhooks_sent, counts.webhooks_duplicated, counts.webhooks_resent), (4, 3, 1));
}

#[tokio::test]
async fn a_forged_copy_comes_first_under_the_same_id_and_does_not_verify() {
    let (world, mut shown) = told(by(Webhooks { forged_first: true, ..Webhooks::default() })).await;
    world.accepted("o1").await;
    let (forged, genuine) = (shown.recv().await.unwrap(), shown.recv().await.unwrap());
    assert!(!forged.is_genuine() && genuine.is_genuine());
    assert_eq!(forged.id(), genuine.id());
    assert_ne!(forged.data()["iban"], genuine.data()["iban"]);
    let counts = world.sim.counts();
    assert_eq!(
        (counts.forged_sent, counts.forged_accepted, counts.webhooks_sent),
        (1, 1, 1),
        "this receiver believes all"
    );
}

#[tokio::test]
async fn a_dropped_webhook_is_never_sent_but_the_lookup_knows() {
    let (world, mut shown) =
        told(Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() }).await;
    world.accepted("o1").await;
    assert_eq!(world.sim.decide("o1", &Verdict::complete()).unwrap().told().await, None);
    assert!(shown.try_recv().is_err());
    assert_eq!((world.sim.counts().webhooks_dropped, world.sim.counts().webhooks_sent), (1, 0));
    assert_eq!(world.sim.opening("o1").unwrap().request().unwrap().status, Status::Completed);
}

#[tokio::test]
async fn an_early_webhook_comes_before_the_submission_is_answered() {
    let (world, mut shown) = told(by(Webhooks { early: true, ..Webhooks::default() })).await;
    world.accepted("o1").await;
    assert_eq!(shown.try_recv().unwrap().status(), "COMPLETED");
}

#[tokio::test]
async fn reordered_news_and_contradictions_come_after_the_decision() {
    let after = Some(Duration::from_millis(1));
    let webhooks = Webhooks { reordered: true, contradiction_after: after, ..Webhooks::default() };
    let (world, mut shown) = told(Plan { progress: true, ..by(webhooks) }).await;
    world.accepted("o1").await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(shown.recv().await.unwrap().status());
    }
    assert_eq!(order, ["COMPLETED", "IN_PROGRESS", "REJECTED"]);
    assert_eq!(world.sim.opening("o1").unwrap().request().unwrap().status, Status::Completed, "the truth stands");
}

#[tokio::test]
async fn a_thin_message_leaves_the_account_to_the_lookup() {
    let (world, mut shown) = told(by(Webhooks { thin: true, ..Webhooks::default() })).await;
    world.accepted("o1").await;
    assert!(shown.recv().await.unwrap().data()["iban"].is_null());
    assert!(world.sim.opening("o1").unwrap().iban().is_some());
}

#[tokio::test]
async fn a_refused_webhook_is_sent_again_until_acknowledged_and_then_given_up() {
    let world = World::fixed(Plan::by_hand()).await;
    let (url, mut shown) = receiver(2).await;
    world.sim.deliver_to(url);
    world.accepted("o1").await;
    assert_eq!(world.sim.decide("o1", &Verdict::complete()).unwrap().told().await, Some(200));
    let first = shown.recv().await.unwrap();
    for _ in 0..2 {
        let again = shown.recv().await.unwrap();
        assert!(again.is_genuine() && again.id() == first.id() && again.body == first.body);
    }
    let counts = world.sim.counts();
    assert_eq!((counts.webhooks_sent, counts.webhook_retries, counts.webhooks_given_up), (1, 2, 0));

    let (url, _shown) = receiver(usize::MAX).await;
    world.sim.deliver_to(url);
    world.accepted("o2").await;
    assert_eq!(world.sim.decide("o2", &Verdict::reject("no")).unwrap().told().await, Some(503));
    assert_eq!(world.sim.counts().webhooks_given_up, 1);
}

#[tokio::test]
async fn a_stop_ends_what_is_still_to_be_told() {
    let hour = Duration::from_hours(1);
    let (world, mut shown) =
        told(Plan { decide_after: hour, progress: true, ..by(Webhooks { delay: hour, ..Webhooks::default() }) }).await;
    world.accepted("o1").await;
    let decided = world.sim.decide("o1", &Verdict::complete()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), world.sim.stop()).await.unwrap();
    assert_eq!(decided.told().await, None);
    assert!(shown.try_recv().is_err());
}

#[tokio::test]
async fn a_webhook_by_hand_can_be_wrong_in_any_part() {
    let (world, mut shown) = told(Plan::by_hand()).await;
    let mut send = async |webhook: RawWebhook| {
        assert_eq!(world.sim.send_webhook(&webhook).await.unwrap().status, 200);
        shown.recv().await.unwrap()
    };
    let body = submission("o1").to_string();
    let honest = RawWebhook { body: body.clone(), id: Some("msg_1".to_owned()), ..RawWebhook::default() };
    let got = send(honest.clone()).await;
    assert!(got.is_genuine() && got.id() == "msg_1" && got.body == body.as_bytes());
    assert!(!send(RawWebhook { timestamp: Some(0), ..honest.clone() }).await.is_genuine());
    assert!(!send(RawWebhook { secret: Some("whsec_c29tZWJvZHk=".to_owned()), ..honest.clone() }).await.is_genuine());
    let headers =
        vec![("webhook-signature".to_owned(), String::new()), ("Content-Type".to_owned(), "text/plain".to_owned())];
    let got = send(RawWebhook { headers, ..honest }).await;
    assert!(!got.headers.contains_key("webhook-signature"));
    assert_eq!(got.headers["content-type"], "text/plain");
}

/// How many messages a plan sends, forged ones included.
fn messages(plan: &Plan) -> usize {
    let told = &plan.webhooks;
    let decided = plan.decision != Decision::Never;
    let progress = plan.progress && (told.reordered || !told.early);
    let copies = if decided && !told.dropped { told.copies as usize } else { 0 };
    let others = [progress, told.forged_first, told.resend_after.is_some(), told.contradiction_after.is_some()];
    copies + others.into_iter().filter(|is| *is).count()
}

#[tokio::test]
async fn a_patient_caller_meets_the_whole_quota_and_makes_nothing_twice() {
    let ms = Duration::from_millis;
    let timing = Timing {
        decide_after: ms(1)..=ms(20),
        deadline: ms(60),
        poll_interval: ms(10),
        resend_after: ms(5),
        contradiction_after: ms(5),
    };
    let plans = quota::deal(100, 7, &timing);
    let (url, mut shown) = receiver(0).await;
    let world = World::with(|options| {
        (options.planner, options.seed) = (Planner::Quota { total: 100, timing }, 7);
        options.webhook_url = Some(url);
    })
    .await;
    let client = reqwest::Client::builder().no_proxy().timeout(ms(300)).build().unwrap();
    for n in 0..100 {
        let reference = format!("o{n}");
        let url = format!("{}/v1/account-opening-requests", world.sim.base_url());
        let call = || client.post(&url).bearer_auth(super::KEY).header("idempotency-key", &reference);
        while call().json(&submission(&reference)).send().await.map(|answer| answer.status()).ok()
            != Some(202.try_into().unwrap())
        {}
    }
    let mut genuine = 0;
    let expected: usize = plans.iter().map(messages).sum();
    for _ in 0..expected {
        genuine += u64::from(shown.recv().await.unwrap().is_genuine());
    }
    let count = |which: fn(&Plan) -> bool| plans.iter().filter(|plan| which(plan)).count() as u64;
    // A dropped webhook is seen by the receiver as nothing: the last ones may be decided after all others have come.
    let dropped = count(|plan| plan.webhooks.dropped);
    let has_decided = async || {
        while world.sim.counts().webhooks_dropped < dropped {
            tokio::time::sleep(ms(1)).await;
        }
    };
    tokio::time::timeout(ms(10_000), has_decided()).await.unwrap();
    let counts = world.sim.counts();
    assert_eq!((counts.account_requests, counts.double_effects), (100, 0));
    assert_eq!(counts.webhooks_dropped, dropped);
    assert_eq!(counts.forged_sent, count(|plan| plan.webhooks.forged_first));
    assert_eq!((counts.webhooks_sent, counts.webhook_retries), (genuine, 0));
    assert_eq!(counts.accounts, count(|plan| plan.decision == Decision::By(Verdict::complete())));
    let mut ibans: Vec<_> = world.sim.ledger().openings.values().filter_map(|o| o.iban().map(str::to_owned)).collect();
    ibans.sort_unstable();
    ibans.dedup();
    assert_eq!(ibans.len() as u64, counts.accounts, "no IBAN is given twice");
    assert!(shown.try_recv().is_err(), "nothing more is told");
}
