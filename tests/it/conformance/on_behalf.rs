//! Airwallex for platforms: every call about an account is made on behalf of the account that is the customer's profile.

use std::sync::{Arc, Mutex};

use account_opening::domain::ProfileId;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use world::Bank;

use crate::support::{TestApp, listen};

/// Each call, with the account that it was made for.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

async fn bank(State(seen): State<Seen>, request: Request) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let owner = request.headers().get("x-on-behalf-of").map(|it| it.to_str().unwrap().to_owned());
    let answer = match call.as_str() {
        "POST /api/v1/authentication/login" => json!({"token": "t", "expires_at": "2026-01-01T00:30:00+0000"}),
        "GET /api/v1/global_accounts" => json!({"items": []}),
        _ => json!({"id": "ga_1", "status": "PROCESSING"}),
    };
    seen.lock().unwrap().push((call, owner));
    Json(answer).into_response()
}

#[tokio::test]
async fn each_call_names_the_account_on_whose_behalf_it_is_made() {
    for (on_behalf_of, owner, tracking_id) in [("none", None, "ga_1"), ("profile", Some("acct_1"), "acct_1:ga_1")] {
        let seen = Seen::default();
        let url = listen(Router::new().fallback(bank).with_state(seen.clone())).await;
        let builder = TestApp::with().bank(Bank::Airwallex, "GB=airwallex,BE=nexusbank").settings(|it| {
            it.airwallex.base_url = Some(url);
            it.airwallex.on_behalf_of = Some(on_behalf_of.to_owned());
        });
        let app = builder.start().await;
        let mut submission = app.submission();
        submission.request.market = "GB".to_owned();
        submission.profile = ProfileId::new("acct_1").unwrap();
        let airwallex = app.context.outside.providers.get("airwallex").unwrap();
        let reference = airwallex.submit(&submission).await.unwrap().reference.unwrap();
        assert_eq!(reference.as_str(), tracking_id);
        airwallex.lookup(&reference).await.unwrap();
        assert_eq!(airwallex.recover(&submission).await.unwrap(), []);
        assert_eq!(airwallex.capabilities().list_since, owner.is_none(), "a list shows one account's own");
        let owner = owner.map(str::to_owned);
        let expected = [
            ("POST /api/v1/authentication/login", None),
            ("POST /api/v1/global_accounts/create", owner.clone()),
            ("GET /api/v1/global_accounts/ga_1", owner.clone()),
            ("GET /api/v1/global_accounts", owner),
        ];
        let found = seen.lock().unwrap().clone();
        assert_eq!(found, expected.map(|(call, owner)| (call.to_owned(), owner)));
        app.finish().await;
    }
}
