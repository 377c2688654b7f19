//! The poller while lookups are not let through: it pauses, and a deadline still counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use account_opening::driver::tick;
use account_opening::faults::{FaultPoint, Step, When};
use account_opening::outbound::breaker::Phase;
use account_opening::workers::poller::Poller;
use chrono::TimeDelta;
use serde_json::json;
use world::{Api, Endpoint};

use super::{OPEN_FOR, calls, force, hangs, impatient, nothing_is_used_up};
use crate::support::TestApp;

fn lookups(app: &TestApp) -> u64 {
    calls(app, &[Endpoint::Lookup])
}

/// How often timers were claimed, and how many polls became facts.
async fn claims_and_facts(app: &TestApp) -> (i64, i64) {
    sqlx::query_as(
        "select (select coalesce(sum(claims), 0) from timers), (select count(*) from inbox where source = 'poll')",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

/// P13, P16
#[tokio::test]
async fn the_poller_pauses_but_for_its_probes_and_asks_about_the_rest_when_the_bank_is_back() {
    let app = impatient(2).await;
    for _ in 0..40 {
        app.open().start().await;
    }
    app.settle().await;
    hangs(&app, Api::Bank);
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    let opened = lookups(&app);
    assert_eq!(opened, 32, "as many as one tick claims; then it opened");
    assert_eq!(claims_and_facts(&app).await, (32, 32));
    for window in 1..=2 {
        app.pass(OPEN_FOR - TimeDelta::seconds(1));
        app.settle().await;
        assert_eq!(lookups(&app), opened + (window - 1) * 2);
        app.pass(TimeDelta::seconds(1));
        app.settle().await;
        assert_eq!(lookups(&app), opened + window * 2, "the probes");
    }
    assert_eq!(claims_and_facts(&app).await, (36, 36), "nothing else was touched");
    app.world.outage(Api::Bank, None);
    app.pass(OPEN_FOR);
    app.settle().await;
    assert_eq!((lookups(&app), claims_and_facts(&app).await), (40, (40, 40)), "the four that were left");
    nothing_is_used_up(&app).await;
    app.finish().await;
}

/// P14: the last poll is not made, and that is its outcome.
#[tokio::test]
async fn a_deadline_that_passes_while_the_breaker_is_open_escalates_once() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    force(&app, "nexusbank/lookup", Some("open")).await;
    app.pass_settling(TimeDelta::hours(12) - TimeDelta::minutes(1), TimeDelta::minutes(30)).await;
    assert_eq!(claims_and_facts(&app).await, (0, 0), "before the deadline nothing is claimed");
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::minutes(1)).await;
    assert_eq!(app.opening(&id).await["state"], "escalated");
    assert_eq!((lookups(&app), claims_and_facts(&app).await.1, app.items("/v1/tickets").await.len()), (0, 1, 1));
    let body: Vec<u8> =
        sqlx::query_scalar("select body from inbox where source = 'poll'").fetch_one(&app.pool).await.unwrap();
    assert!(String::from_utf8(body).unwrap().contains("breaker_open"));
    // An operator asks all the same: the bank is asked when it may be.
    let (status, _) = app.post(&format!("/v1/account-openings/{id}/poll"), &json!({})).await;
    assert_eq!(status, 202);
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(10)).await;
    assert_eq!((lookups(&app), claims_and_facts(&app).await.1), (0, 1));
    force(&app, "nexusbank/lookup", None).await;
    app.settle().await;
    assert_eq!((lookups(&app), claims_and_facts(&app).await.1), (1, 2));
    assert_eq!(app.items("/v1/tickets").await.len(), 1);
    app.finish().await;
}

/// P14: that a probe has the only place is no outcome of the polls beside it: they are made later.
#[tokio::test]
async fn deadlines_that_pass_beside_a_probe_wait_for_their_own_last_poll() {
    let app = impatient(1).await;
    for _ in 0..32 {
        app.open().start().await;
    }
    app.settle().await;
    app.pass_settling(TimeDelta::hours(11), TimeDelta::minutes(30)).await;
    hangs(&app, Api::Bank);
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    let (before, asked) = (lookups(&app), claims_and_facts(&app).await.1);
    app.world.outage(Api::Bank, None);
    app.pass(TimeDelta::minutes(30));
    assert_eq!(tick(&Poller(app.context.clone())).await.unwrap().claimed, 32);
    assert_eq!((lookups(&app), claims_and_facts(&app).await.1), (before + 1, asked + 1), "the probe, and it alone");
    let escalated = async |app: &TestApp| -> i64 {
        let count = sqlx::query_scalar("select count(*) from account_openings where state = 'escalated'");
        count.fetch_one(&app.pool).await.unwrap()
    };
    app.tick_inbox().await;
    assert_eq!(escalated(&app).await, 1);
    app.pass(TimeDelta::minutes(1));
    app.settle().await;
    assert_eq!((lookups(&app), escalated(&app).await), (before + 32, 32), "each was asked about");
    app.finish().await;
}

/// P16: what our database does is no failure of the bank's.
#[tokio::test]
async fn a_poll_that_cannot_be_stored_takes_no_other_with_it() {
    let mut app = TestApp::with().settings(|it| it.breaker_failures = "1".to_owned()).start().await;
    for _ in 0..4 {
        app.open().start().await;
    }
    app.settle().await;
    app.pass(TimeDelta::minutes(30));
    let left = Arc::new(AtomicU32::new(1));
    app.context.shell.faults = FaultPoint::new(move |place| {
        let strikes = (place.worker, place.step, place.when) == ("timers", Step::Settle, When::Before)
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        strikes.then(|| sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()))
    });
    assert!(tick(&Poller(app.context.clone())).await.is_err());
    let lookup = app.context.outside.gates.gate("nexusbank", "lookup");
    assert_eq!((lookups(&app), lookup.phase(), lookup.under_way()), (4, Phase::Closed, 0));
    app.settle().await;
    // The poll that was not stored is made once more, when its lease is over.
    app.pass(TimeDelta::minutes(1));
    app.settle().await;
    assert_eq!(claims_and_facts(&app).await.1, 4);
    app.finish().await;
}

/// P21: a deadline in a state without polls does not depend on the provider's breaker.
#[tokio::test]
async fn a_step_that_is_stuck_has_its_ticket_also_while_breakers_are_open() {
    let app = TestApp::start().await;
    for breaker in ["nexusbank/lookup", "nexusbank/submit"] {
        force(&app, breaker, Some("open")).await;
    }
    let id = app.open().start().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    assert_eq!(app.opening(&id).await["state"], "requesting_account");
    let tickets = app.items("/v1/tickets").await;
    assert_eq!((tickets.len(), &tickets[0]["kind"]), (1, &json!("AccountOpeningStepFailed")));
    app.finish().await;
}
