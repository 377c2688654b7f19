//! A rehearsal says what the act would do, and writes nothing. (P34)

use account_opening::acts::backfill::{self, BackfillRequest};
use account_opening::acts::erase::{self, EraseRequest};
use account_opening::acts::force_breaker::{self, ForceBreakerRequest};
use account_opening::acts::poll::{self, PollRequest};
use account_opening::acts::pull_report::{self, PullRequest};
use account_opening::acts::resolve::{self, ResolveRequest};
use account_opening::acts::resolve_case::{self, ResolveCaseRequest};
use account_opening::acts::set_flag::{self, SetFlagRequest};
use account_opening::acts::{
    ActError, Acts, Admin, Once, Operator, Principal, discard, discard_work, redrive, reverify,
};
use account_opening::config::{Role, Token};
use account_opening::domain::flag::{Rule, Scope};
use account_opening::domain::{OpeningId, Resolution, StateName};
use account_opening::outbound::breaker::Forced;
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;
use world::{Fault, Plan};

use super::{IBAN, OTHER_IBAN, resolve as resolved, taken};
use crate::support::{Subscriber, TestApp};

fn principal(role: Role) -> Principal {
    Principal::from(&Token { name: "desk".to_owned(), secret: "desk-token".into(), role })
}

fn operator() -> Operator {
    Operator::try_from(principal(Role::Operator)).unwrap()
}

fn completed(iban: &str) -> ResolveRequest {
    ResolveRequest {
        resolution: Resolution::Completed {
            iban: iban.to_owned(),
            bic: "NEXUBEBB".to_owned(),
            provider_reference: None,
        },
        reason: "seen at the bank".to_owned(),
        evidence: "their letter".to_owned(),
        expected_version: None,
    }
}

fn opening(id: &str) -> OpeningId {
    OpeningId(id.parse().unwrap())
}

#[tokio::test]
async fn a_rehearsed_resolution_shows_where_the_act_then_leads() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let (acts, before): (&Acts, _) = (&app.state.acts, app.rows().await);
    let shown = resolve::rehearse(acts, &operator(), opening(&id), completed(IBAN)).await.unwrap();
    assert_eq!(app.rows().await, before);
    assert_eq!(shown.opening.state_name(), StateName::IssuingCard);
    assert!(!shown.effects.is_empty(), "the card is sent for");
    resolve::run(acts, &operator(), opening(&id), completed(IBAN)).await.unwrap();
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// An account that another opening holds is known to a rehearsal as to the decision.
#[tokio::test]
async fn a_rehearsed_resolution_knows_whose_account_it_is() {
    let app = TestApp::start().await;
    let (holder, _) = app.open().waiting().await;
    let acts = &app.state.acts;
    resolve::run(acts, &operator(), opening(&holder), completed(OTHER_IBAN)).await.unwrap();
    app.settle().await;
    let (id, _) = app.open().waiting().await;
    let shown = resolve::rehearse(acts, &operator(), opening(&id), completed(OTHER_IBAN)).await.unwrap();
    assert_eq!(shown.opening.state_name(), StateName::AwaitingProvider);
    resolve::run(acts, &operator(), opening(&id), completed(OTHER_IBAN)).await.unwrap();
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    app.finish().await;
}

#[tokio::test]
async fn no_rehearsal_writes_anything() {
    let app = TestApp::start().await;
    let acts = &app.state.acts;
    let (waiting, _) = app.open().waiting().await;
    let (ended, _) = app.open().waiting().await;
    assert_eq!(resolved(&app, &ended, "failed").await, 202);
    let plan = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    app.open().plan(plan).start().await;
    app.settle().await;
    let letter: Uuid = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(app.webhook().without("webhook-signature").answered().await, 401);
    let refused: Uuid = app.items("/v1/rejected-requests").await[0]["id"].as_str().unwrap().parse().unwrap();
    let before = app.rows().await;

    let poll = poll::rehearse(acts, &operator(), opening(&waiting), PollRequest::default()).await;
    assert!(poll.is_ok());
    let poll = poll::rehearse(acts, &operator(), opening(&ended), PollRequest::default()).await;
    assert!(matches!(poll, Err(ActError::WrongState(_))));
    let erase = async |id: &str, expected_version| {
        let request = EraseRequest { reason: "asked".to_owned(), expected_version };
        erase::rehearse(acts, &operator(), opening(id), request).await
    };
    assert_eq!(erase(&ended, None).await.unwrap(), Once::Now(()));
    assert!(matches!(erase(&ended, Some(99)).await, Err(ActError::Moved { state: StateName::Failed, .. })));
    assert!(matches!(erase(&waiting, None).await, Err(ActError::WrongState(_))));
    let (redrive, discard) =
        (redrive::rehearse(acts, &operator(), letter).await, discard::rehearse(acts, &operator(), letter).await);
    for shown in [redrive.unwrap(), discard.unwrap()] {
        assert!(matches!(shown, Once::Now(it) if it.id == letter));
    }
    assert!(matches!(redrive::rehearse(acts, &operator(), refused).await, Err(ActError::NotFound)));
    assert!(matches!(reverify::rehearse(acts, &operator(), refused).await, Err(ActError::WrongState(_))));
    assert_eq!(app.rows().await, before);

    taken(&app, &format!("/v1/dead-letters/{letter}/discard"), &json!({"reason": "of no use"})).await;
    assert!(matches!(redrive::rehearse(acts, &operator(), letter).await, Err(ActError::WrongState(_))));
    assert!(matches!(discard::rehearse(acts, &operator(), letter).await, Ok(Once::Already)));
    app.finish().await;
}

#[tokio::test]
async fn a_rehearsed_end_of_a_case_or_of_work_tells_what_is_done_from_what_was_done() {
    let sink = Subscriber::answering(503, "whsec_YSBzZWNyZXQgb2Ygb3VyIG93biE=").await;
    let app = TestApp::with().settings(|it| it.event_subscribers = sink.setting()).start().await;
    let acts = &app.state.acts;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    app.webhook().completed(&tracking_id, OTHER_IBAN).acknowledged().await;
    app.settle().await;
    let case: Uuid = app.items("/v1/cases").await[0]["id"].as_str().unwrap().parse().unwrap();
    let work: Uuid = app.items("/v1/outbox").await[0]["id"].as_str().unwrap().parse().unwrap();
    let judgement = |reason: &str| ResolveCaseRequest { reason: reason.to_owned(), evidence: None };
    let resolve = async |reason: &str| resolve_case::rehearse(acts, &operator(), case, judgement(reason)).await;

    let before = app.rows().await;
    let opening = opening(&id).0;
    assert_eq!(resolve("asked").await.unwrap(), Once::Now(Some(opening)));
    let discard = discard_work::rehearse(acts, &operator(), work).await.unwrap();
    assert_eq!(discard, Once::Now((Some(opening), "deliver_event".to_owned())));
    assert!(matches!(discard_work::rehearse(acts, &operator(), case).await, Err(ActError::NotFound)));
    let nowhere = resolve_case::rehearse(acts, &operator(), work, judgement("asked")).await;
    assert!(matches!(nowhere, Err(ActError::NotFound)));
    assert_eq!(app.rows().await, before);

    resolve_case::run(acts, &operator(), case, judgement("asked")).await.unwrap();
    discard_work::run(acts, &operator(), work, "of no use".to_owned()).await.unwrap();
    assert_eq!(resolve("asked").await.unwrap(), Once::Already);
    assert!(matches!(resolve("for another reason").await, Err(ActError::WrongState(_))));
    assert_eq!(discard_work::rehearse(acts, &operator(), work).await.unwrap(), Once::Already);
    sink.answer(200);
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(15)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_rehearsed_breaker_and_a_rehearsed_backfill_show_what_would_hold() {
    let app = TestApp::start().await;
    let acts = &app.state.acts;
    let gate = force_breaker::gate(acts, "nexusbank", "submit").unwrap();
    let force = |forced| ForceBreakerRequest { forced, reason: "an outage".to_owned() };
    let ask = || BackfillRequest { provider: "nexusbank", reason: "lost".to_owned(), since: Some(app.now()) };

    let before = app.rows().await;
    let shown = force_breaker::rehearse(acts, &operator(), &gate, &force(Some(Forced::Open))).await.unwrap();
    assert_eq!((shown.now, shown.then), (None, Some(Forced::Open)));
    assert_eq!(gate.forced(), None);
    let shown = backfill::rehearse(acts, &operator(), ask()).await.unwrap();
    assert_eq!((shown.since, shown.served_by), (app.now(), None));
    let later = BackfillRequest { since: Some(app.now() + TimeDelta::hours(1)), ..ask() };
    assert!(matches!(backfill::rehearse(acts, &operator(), later).await, Err(ActError::WrongState(_))));
    assert_eq!(app.rows().await, before);

    force_breaker::run(acts, &operator(), &gate, force(Some(Forced::Open))).await.unwrap();
    let shown = force_breaker::rehearse(acts, &operator(), &gate, &force(None)).await.unwrap();
    assert_eq!((shown.now.map(|it| it.forced).as_deref(), shown.then), (Some("open"), None));
    force_breaker::run(acts, &operator(), &gate, force(None)).await.unwrap();
    let id = backfill::run(acts, &operator(), ask()).await.unwrap();
    assert_eq!(backfill::rehearse(acts, &operator(), ask()).await.unwrap().served_by, Some(id));
    app.finish().await;
}

#[tokio::test]
async fn a_rehearsed_pull_shows_the_period_and_the_pull_that_would_serve_it() {
    let app = TestApp::start().await;
    let acts = &app.state.acts;
    let pull = |provider: &str, hours| PullRequest {
        provider: provider.to_owned(),
        from: app.now() - TimeDelta::hours(hours),
        until: app.now(),
        reason: "no files".to_owned(),
    };
    let before = app.rows().await;
    let shown = pull_report::rehearse(acts, &operator(), pull("nexusbank", 24)).await.unwrap();
    assert_eq!((shown.until - shown.from, shown.served_by), (TimeDelta::hours(24), None));
    for (request, wrong) in [(pull("stranger", 24), "/provider"), (pull("nexusbank", 0), "/from")] {
        let refused = pull_report::rehearse(acts, &operator(), request).await;
        assert!(matches!(refused, Err(ActError::Field { pointer, .. }) if pointer == wrong), "{refused:?}");
    }
    assert_eq!(app.rows().await, before);
    let (id, is_new) = pull_report::run(acts, &operator(), pull("nexusbank", 24)).await.unwrap();
    let shown = pull_report::rehearse(acts, &operator(), pull("nexusbank", 24)).await.unwrap();
    assert_eq!((shown.served_by, is_new), (Some(id), true));
    assert_eq!(pull_report::rehearse(acts, &operator(), pull("nexusbank", 23)).await.unwrap().served_by, None);
    app.finish().await;
}

#[tokio::test]
async fn a_rehearsed_flag_counts_the_openings_that_would_change_their_flow() {
    let app = TestApp::start().await;
    for market in ["BE", "BE", "NL"] {
        app.open().market(market).start().await;
    }
    app.settle().await;
    let before = app.rows().await;
    let scope = Scope { market: Some("BE".to_owned()), customer_type: None };
    let rule = Rule { scope, enabled: false, percentage: 100 };
    let request = SetFlagRequest { flag: "async-account-opening", rule, reason: "an outage".to_owned() };
    let admin = Admin::try_from(principal(Role::Admin)).unwrap();
    let shown = set_flag::rehearse(&app.state.acts, &admin, request).await.unwrap();
    assert_eq!((shown.openings, shown.async_now, shown.async_then, shown.moved), (3, 3, 1, 2));
    assert_eq!(app.rows().await, before);
    app.finish().await;
}

/// P35: there is no act without its role, wherever the call comes from.
#[test]
fn a_lower_role_proves_no_higher_one() {
    assert!(Operator::try_from(principal(Role::Caller)).is_err());
    assert!(Admin::try_from(principal(Role::Operator)).is_err());
}
