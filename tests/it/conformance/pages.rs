//! The list of a bank that has no filter: read to a short page, and to a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use account_opening::domain::ProfileId;
use account_opening::provider::Submission;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::support::{TestApp, listen};
use world::Bank;

/// Answers a page of the list by its number, and counts the calls.
#[derive(Clone)]
struct Listing {
    page: fn(usize) -> Value,
    asked: Arc<AtomicUsize>,
}

async fn list(State(listing): State<Listing>, Query(query): Query<Vec<(String, String)>>) -> Json<Value> {
    listing.asked.fetch_add(1, Ordering::SeqCst);
    let value = |name: &str| query.iter().find(|(it, _)| it == name).unwrap().1.parse::<usize>().unwrap();
    assert_eq!(value("page[size]"), 500);
    Json((listing.page)(value("page[number]")))
}

/// A service whose bank lists these pages, and how often it was asked.
async fn app(page: fn(usize) -> Value) -> (TestApp, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let token = post(|| async { Json(json!({"access_token": "t", "expires_in": 3599})) });
    let listing = Listing { page, asked: Arc::clone(&asked) };
    let router = Router::new().route("/oauth2/token", token).route("/v1/accounts/opening_requests", get(list));
    let url = listen(router.with_state(listing)).await;
    let builder = TestApp::with().bank(Bank::Solaris, "*=solaris").settings(|it| {
        it.solaris.token_url = Some(format!("{url}/oauth2/token"));
        it.solaris.base_url = Some(url);
    });
    (builder.start().await, asked)
}

fn submission(app: &TestApp) -> Submission {
    let mut submission = app.submission();
    submission.request.market = "DE".to_owned();
    submission.profile = ProfileId::new("ours").unwrap();
    submission
}

fn request(id: &str, customer: &str, status: &str, created_at: &str) -> Value {
    json!({"id": id, "customer_id": customer, "status": status, "product_name": "CURRENT_ACCOUNT_BUSINESS_GERMANY",
           "account_type": "CHECKING_BUSINESS", "created_at": created_at, "rejection_reason": null})
}

fn others() -> Value {
    Value::Array(vec![request("x", "another", "COMPLETED", "2026-01-01T00:00:00+00:00"); 500])
}

/// P36: the bank's limit rejects a doubled request while the first one completes.
#[tokio::test]
async fn of_two_requests_the_completed_one_counts_wherever_in_the_list_it_stands() {
    let (app, asked) = app(|page| match page {
        1 => others(),
        2 => json!([
            request("second", "ours", "REJECTED", "2026-01-01T00:00:02+00:00"),
            {"id": 7},
            request("waits", "ours", "IN_PROGRESS", "2026-01-01T00:00:03+00:00"),
            request("first", "ours", "COMPLETED", "2026-01-01T00:00:01.000+00:00"),
            request("older", "ours", "COMPLETED", "2025-12-31T00:00:00+00:00"),
            request("theirs", "another", "COMPLETED", "2026-01-01T00:00:00+00:00"),
        ]),
        _ => panic!("a short page is the last"),
    })
    .await;
    let bank = Arc::clone(app.context.outside.providers.get("solaris").unwrap());
    let found = bank.recover(&submission(&app)).await.unwrap();
    let ids: Vec<_> = found.iter().map(|it| it.reference.as_ref().unwrap().as_str()).collect();
    assert_eq!(ids, ["first", "waits", "second"]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let mut freelancer = submission(&app);
    freelancer.request.customer_type = account_opening::domain::CustomerType::Freelancer;
    assert_eq!(bank.recover(&freelancer).await.unwrap(), [], "another product");
    app.finish().await;
}

/// None found would be a reason to go on: a list that was not read to its end has found nothing.
#[tokio::test]
async fn a_list_without_an_end_is_left_at_a_bound_and_has_not_found_nothing() {
    let (app, asked) = app(|_| Value::Array(vec![json!({}); 500])).await;
    let bank = Arc::clone(app.context.outside.providers.get("solaris").unwrap());
    let error = bank.recover(&submission(&app)).await.unwrap_err();
    assert_eq!((error.class(), asked.load(Ordering::SeqCst)), ("unusable", 200));
    app.finish().await;
}
