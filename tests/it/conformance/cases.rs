//! The cases, each for any bank.

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Api, Decision, Endpoint, Fault, Plan, Verdict, Webhooks};

use super::banks::Described;
use crate::support::{TestApp, problem};

/// Decides an opening, and lets the workers take in what the bank sends.
pub async fn decide(app: &TestApp, id: &str, verdict: &Verdict) {
    app.world.decide(id, verdict).unwrap().told().await;
    app.settle().await;
    // A thin event makes a poll due.
    app.pass(TimeDelta::seconds(1));
    app.settle().await;
}

/// The account of an opening is that of the bank's ledger, once.
async fn completed_once(app: &TestApp, id: &str) {
    let opening = app.in_state(id, "completed").await;
    let record = app.world.opening(id).unwrap();
    assert_eq!(opening["iban"].as_str(), record.iban());
    assert!(opening["bic"].is_string(), "{opening}");
    assert_eq!((record.requests.len(), record.cards.len(), record.double_effects()), (1, 1, 0));
}

pub async fn a_clean_journey_ends_with_a_card(it: &Described) {
    let app = it.app().start().await;
    let (id, tracking_id) = app.open().market(it.market).waiting().await;
    let opening = app.opening(&id).await;
    assert_eq!(
        (&opening["provider"], &opening["provider_status"]),
        (&it.name().into(), &it.words[0].into()),
        "{opening}"
    );
    assert_eq!(Some(tracking_id.as_str()), app.world.opening(&id).unwrap().tracking_id());
    decide(&app, &id, &Verdict::complete()).await;
    completed_once(&app, &id).await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["status"], &opening["provider_status"]), (&"succeeded".into(), &it.words[1].into()));
    let account = if it.is_thin { "(provider_polled, poll)" } else { "(provider_reported, webhook)" };
    assert_eq!(
        app.history(&id).await,
        [
            "start -> creating_profile (started, api)",
            "creating_profile -> requesting_account (profile_created, command)",
            "requesting_account -> awaiting_provider (submission_accepted, command)",
            &format!("awaiting_provider -> issuing_card {account}"),
            "issuing_card -> completed (card_issued, command)",
        ]
    );
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), u64::from(it.is_thin));
    if it.is_at_once {
        // Without its event, which may overtake the answer.
        let plan = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::default() };
        let other = app.open().market(it.market).plan(plan).start().await;
        app.settle().await;
        completed_once(&app, &other).await;
        let history = app.history(&other).await;
        assert!(history.iter().any(|step| step.contains("issuing_card (submission_accepted, command)")), "{history:?}");
    }
    app.finish().await;
}

pub async fn a_status_that_says_no_rejects_with_its_reason(it: &Described) {
    let app = it.app().start().await;
    let (id, _) = app.open().market(it.market).waiting().await;
    decide(&app, &id, &Verdict::reject("documents_expired")).await;
    let opening = app.in_state(&id, "rejected").await;
    assert_eq!(opening["reason"], "documents_expired", "{opening}");
    assert_eq!(opening["provider_status"], it.words[2]);
    assert_eq!((&opening["iban"], &opening["next_poll_at"]), (&Value::Null, &Value::Null));
    assert_eq!(app.world.counts().cards, 0);
    app.finish().await;
}

/// P13
pub async fn a_lost_event_is_found_by_the_poll(it: &Described) {
    let app = it.app().start().await;
    let plan = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let (id, _) = app.open().market(it.market).plan(plan).waiting().await;
    app.world.decide(&id, &Verdict::complete()).unwrap();
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    completed_once(&app, &id).await;
    assert!(app.history(&id).await.contains(&"awaiting_provider -> issuing_card (provider_polled, poll)".to_owned()));
    app.finish().await;
}

/// P9, P36
pub async fn a_lost_answer_to_a_submission_is_found_and_not_made_twice(it: &Described) {
    for fault in [Fault::ErrorAfter { status: 500 }, Fault::HangAfter] {
        Box::pin(lost(it, fault)).await;
    }
}

/// P9, P36
pub async fn an_answer_that_is_no_answer_is_found_and_not_made_twice(it: &Described) {
    Box::pin(lost(it, Fault::Garbage)).await;
}

async fn lost(it: &Described, fault: Fault) {
    let app = it.app().settings(|it| it.provider_timeout = "500ms".to_owned()).start().await;
    let id = app.open().market(it.market).plan(Plan { submit: vec![fault], ..Plan::by_hand() }).start().await;
    app.settle().await;
    let opening = app.in_state(&id, "requesting_account").await;
    assert!(opening["outcome_unknown_since"].is_string(), "{opening}");
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(10)).await;
    app.in_state(&id, "awaiting_provider").await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Submit), 1, "{fault:?}");
    decide(&app, &id, &Verdict::complete()).await;
    completed_once(&app, &id).await;
    app.finish().await;
}

/// P9, P36: only a status is a no, and a repeat is no second account.
pub async fn an_error_answer_although_the_account_exists_is_no_rejection(it: &Described) {
    let app = it.app().start().await;
    let statuses = [400, 409, 422].into_iter().filter(|status| !it.final_errors.contains(status));
    let mut ids = Vec::new();
    for status in statuses {
        let plan = Plan { submit: vec![Fault::ErrorAfter { status }], ..Plan::by_hand() };
        ids.push((status, app.open().market(it.market).plan(plan).start().await));
    }
    app.settle().await;
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(10)).await;
    for (status, id) in &ids {
        app.in_state(id, "awaiting_provider").await;
        assert_eq!(app.world.opening(id).unwrap().requests.len(), 1, "{status}");
        app.world.decide(id, &Verdict::complete()).unwrap().told().await;
    }
    app.settle().await;
    app.pass(TimeDelta::seconds(1));
    app.settle().await;
    for (_, id) in &ids {
        completed_once(&app, id).await;
    }
    app.finish().await;
}

/// P9, P36: the look before a repeat sends nothing, so its failure leaves the outcome as it was, and it is made again.
pub async fn a_list_that_hangs_is_asked_again_and_nothing_is_made_twice(it: &Described) {
    let app = it.app().settings(|it| it.provider_timeout = "500ms".to_owned()).start().await;
    let plan = Plan { submit: vec![Fault::ErrorAfter { status: 500 }], ..Plan::by_hand() };
    let id = app.open().market(it.market).plan(plan).start().await;
    app.settle().await;
    app.world.outage(Api::Bank, Some(Fault::HangBefore));
    app.pass(TimeDelta::seconds(2));
    app.settle().await;
    app.world.outage(Api::Bank, None);
    let attempts = "select attempt_log from outbox where topic = 'submit_request'";
    let attempts: Value = sqlx::query_scalar(attempts).fetch_one(&app.pool).await.unwrap();
    let of = |n: usize| (attempts[n]["class"].as_str().unwrap(), attempts[n]["indeterminate"].as_bool().unwrap());
    // The look ended within PROVIDER_TIMEOUT: the relay's own limit would not know that nothing was sent.
    assert_eq!([of(0), of(1)], [("server_error", true), ("timeout", false)], "{attempts}");
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(10)).await;
    app.in_state(&id, "awaiting_provider").await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Submit), 1);
    decide(&app, &id, &Verdict::complete()).await;
    completed_once(&app, &id).await;
    app.finish().await;
}

/// P15, P36
pub async fn a_bank_that_was_away_is_asked_again_and_nothing_is_made_twice(it: &Described) {
    let app = it.app().start().await;
    app.world.outage(Api::Bank, Some(Fault::Throttle { retry_after_seconds: 1 }));
    let id = app.open().market(it.market).start().await;
    app.settle().await;
    app.pass_settling(TimeDelta::minutes(5), TimeDelta::seconds(30)).await;
    app.in_state(&id, "requesting_account").await;
    app.world.outage(Api::Bank, None);
    app.pass_settling(TimeDelta::minutes(20), TimeDelta::minutes(1)).await;
    app.in_state(&id, "awaiting_provider").await;
    decide(&app, &id, &Verdict::complete()).await;
    completed_once(&app, &id).await;
    app.finish().await;
}

/// P3
pub async fn an_event_that_comes_twice_is_one_row(it: &Described) {
    let app = it.app().start().await;
    let webhooks = Webhooks { copies: 3, ..Webhooks::default() };
    let (id, _) = app.open().market(it.market).plan(Plan { webhooks, ..Plan::by_hand() }).waiting().await;
    decide(&app, &id, &Verdict::complete()).await;
    completed_once(&app, &id).await;
    let rows = "select count(*) from inbox where source = 'webhook' and opening_id::text = $1";
    let rows: i64 = sqlx::query_scalar(rows).bind(&id).fetch_one(&app.pool).await.unwrap();
    assert_eq!(rows, 1);
    app.finish().await;
}

/// P6, P8
pub async fn an_event_after_the_end_changes_nothing(it: &Described) {
    let app = it.app().start().await;
    let webhooks = Webhooks { resend_after: Some(std::time::Duration::from_millis(1)), ..Webhooks::default() };
    let plan = if it.is_at_once { Plan { webhooks, ..Plan::default() } } else { Plan { webhooks, ..Plan::by_hand() } };
    let id = app.open().market(it.market).plan(plan).start().await;
    app.settle().await;
    if !it.is_at_once {
        decide(&app, &id, &Verdict::complete()).await;
    }
    crate::support::eventually("the bank has sent its news twice", async || {
        (app.world.counts().webhooks_sent >= 2).then_some(())
    })
    .await;
    app.settle().await;
    completed_once(&app, &id).await;
    assert_eq!(app.items("/v1/cases").await, [] as [Value; 0]);
    app.finish().await;
}

pub async fn a_forged_event_is_refused_and_changes_nothing(it: &Described) {
    let app = it.app().start().await;
    let webhooks = Webhooks { forged_first: true, dropped: true, ..Webhooks::default() };
    let (id, _) = app.open().market(it.market).plan(Plan { webhooks, ..Plan::by_hand() }).waiting().await;
    app.world.decide(&id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    let counts = app.world.counts();
    assert_eq!((counts.forged_sent, counts.forged_accepted), (1, 0));
    app.in_state(&id, "awaiting_provider").await;
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    completed_once(&app, &id).await;
    app.finish().await;
}

pub async fn a_word_that_is_not_known_is_recorded_and_not_guessed_at(it: &Described) {
    let app = it.app().start().await;
    let plan = Plan { progress: true, on_hold: true, decision: Decision::Never, ..Plan::default() };
    let (id, _) = app.open().market(it.market).plan(plan).waiting().await;
    app.pass_settling(TimeDelta::minutes(61), TimeDelta::minutes(30)).await;
    let opening = app.in_state(&id, "awaiting_provider").await;
    assert!(!it.words.contains(&opening["provider_status"].as_str().unwrap()), "{opening}");
    app.world.decide(&id, &Verdict::complete()).unwrap();
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    completed_once(&app, &id).await;
    app.finish().await;
}

/// P36: an event may overtake the bank's own status API. It is asked again with backoff, not after a whole interval.
pub async fn a_completion_that_the_status_hides_is_asked_for_again_and_again(it: &Described) {
    let app = it.app().start().await;
    let webhooks = Webhooks { thin: true, ..Webhooks::default() };
    let plan = Plan { webhooks, silent: true, ..Plan::by_hand() };
    let (id, _) = app.open().market(it.market).plan(plan.clone()).customer("cus_hidden").waiting().await;
    decide(&app, &id, &Verdict::complete()).await;
    app.pass_settling(TimeDelta::minutes(10), TimeDelta::seconds(10)).await;
    let looks = app.world.opening(&id).unwrap().calls(Endpoint::Lookup);
    assert!((4..20).contains(&looks), "{looks} look-ups within ten minutes");
    app.in_state(&id, "awaiting_provider").await;
    app.world.set_plan("cus_hidden", Plan { silent: false, ..plan });
    app.pass_settling(TimeDelta::minutes(12), TimeDelta::minutes(1)).await;
    completed_once(&app, &id).await;
    app.finish().await;
}

/// P36: the bank decides after the deadline, its event brings no account, and the first look-ups fail. Nothing is lost.
pub async fn a_completion_after_the_deadline_is_asked_for_again_and_again(it: &Described) {
    let app = it.app().settings(|it| it.escalate_after = "30m".to_owned()).start().await;
    // The first look-up is the last poll of the wait.
    let lookup = vec![Fault::Compressed, Fault::ErrorBefore { status: 500 }, Fault::Garbage];
    let webhooks = Webhooks { thin: true, ..Webhooks::default() };
    let plan = Plan { webhooks, lookup, ..Plan::by_hand() };
    let (id, _) = app.open().market(it.market).plan(plan).waiting().await;
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["next_poll_at"]), (&"escalated".into(), &Value::Null), "{opening}");
    decide(&app, &id, &Verdict::complete()).await;
    let opening = app.in_state(&id, "escalated").await;
    assert!(opening["next_poll_at"].is_string(), "{opening}");
    app.pass_settling(TimeDelta::seconds(10), TimeDelta::seconds(1)).await;
    completed_once(&app, &id).await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 4);
    let tickets = app.items("/v1/tickets").await;
    assert_eq!((tickets.len(), &tickets[0]["status"]), (1, &"closed".into()), "{tickets:?}");
    app.finish().await;
}

pub async fn an_event_without_its_account_is_looked_up(it: &Described) {
    let app = it.app().start().await;
    let webhooks = Webhooks { thin: true, ..Webhooks::default() };
    let (id, _) = app.open().market(it.market).plan(Plan { webhooks, ..Plan::by_hand() }).waiting().await;
    decide(&app, &id, &Verdict::complete()).await;
    completed_once(&app, &id).await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 1);
    app.finish().await;
}

pub async fn the_sandbox_speaks_the_banks_language(it: &Described) {
    let app = it.app().start().await;
    let (id, tracking_id) = app.open().market(it.market).waiting().await;
    let path = "/company/account-opening/set-status-sandbox";
    for (name, status) in [(&tracking_id, "IN_PROGRESS"), (&id, "COMPLETED")] {
        let (answer, body) = app.post(path, &json!({"account_opening_request_id": name, "status": status})).await;
        assert_eq!(answer, 202, "{body}");
        app.settle().await;
    }
    let opening = app.opening(&id).await;
    assert_eq!(
        (&opening["state"], &opening["provider_status"]),
        (&"completed".into(), &it.words[1].into()),
        "{opening}"
    );
    assert!(opening["bic"].is_string());
    app.finish().await;
}

pub async fn a_market_that_the_bank_does_not_serve_is_refused_at_the_market(it: &Described) {
    let app = it.app().start().await;
    if let Some(unserved) = it.unserved {
        let refused = app.open().market(unserved).send().await;
        assert_eq!(problem(refused, 422, "validation-failed").await, ["/market"]);
    }
    if it.name() != "nexusbank" {
        let sync = app.open().market(it.market).body(|body| body["flow"] = "sync".into()).send().await;
        assert_eq!(problem(sync, 422, "validation-failed").await, ["/flow"]);
    }
    app.finish().await;
}

/// The adapter's settings, as a panic or a log would show them.
pub async fn settings_as_a_panic_shows_them_name_no_secret(it: &Described) {
    let app = it.app().start().await;
    let shown = format!("{:?}", app.state.settings.adapters);
    for secret in [world::CLIENT_SECRET, world::WEBHOOK_SECRET, world::HMAC_KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
    app.finish().await;
}
