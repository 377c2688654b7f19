//! Credentials, access tokens and webhook keys of banks are in no log, metric, list or row, also where the bank quotes them in
//! its answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::prelude::{BASE64_STANDARD, Engine};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::cluster::fresh_schema;
use crate::support::listen;
use crate::support::process::{Program, WITHIN, eventually};
use crate::support::service::{Service, ServiceBuilder};

/// Stands in each secret.
const SECRET: &str = "canary-bank";
const TOKEN: &str = "canary-bank-token";
/// A market of each bank, and the call that submits.
const BANKS: [(&str, &str, &str); 3] = [
    ("DE", "EUR", "POST /v1/accounts/opening_requests"),
    ("GB", "GBP", "POST /api/v1/global_accounts/create"),
    ("NL", "EUR", "POST /bcl/v2/paymentInstruments"),
];

/// How often each call came.
type Calls = Arc<Mutex<HashMap<String, usize>>>;

/// The outside: profiles are made; of the banks only a token and an empty list are to be had, after answers that are none. All else
/// quotes the request.
async fn outside(State(calls): State<Calls>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let quote = format!("{TOKEN} {} {:?} {}", head.uri, head.headers, String::from_utf8_lossy(&body));
    let path = head.uri.path();
    let times = {
        let mut calls = calls.lock().unwrap();
        let times = calls.entry(format!("{} {path}", head.method)).or_default();
        *times += 1;
        *times
    };
    if path == "/v1/profiles" {
        return Json(json!({"profile_id": "pro_1"})).into_response();
    }
    let gives_tokens = ["/oauth2/token", "/api/v1/authentication/login"].contains(&path);
    let error = json!({"code": quote, "message": quote, "detail": quote, "errorCode": quote,
                       "errors": [{"code": quote, "detail": quote}]});
    match times {
        1 => (StatusCode::UNAUTHORIZED, quote).into_response(),
        2 => (StatusCode::BAD_REQUEST, Json(error)).into_response(),
        3 => (StatusCode::INTERNAL_SERVER_ERROR, quote).into_response(),
        4 => (StatusCode::OK, quote).into_response(),
        _ if gives_tokens => Json(json!({"access_token": TOKEN, "token": TOKEN, "expires_in": 3_599})).into_response(),
        // Each bank's list: it holds nothing, so that the submission is sent.
        _ if head.method == Method::GET && path.starts_with("/v1/accounts") => Json(json!([])).into_response(),
        _ if head.method == Method::GET => {
            Json(json!({"items": [], "paymentInstruments": [], "hasNext": false})).into_response()
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, quote).into_response(),
    }
}

fn clean(what: &str, text: &str) {
    let basic = BASE64_STANDARD.encode(format!("client:{SECRET}-secret"));
    for secret in [SECRET.to_owned(), hex::encode(SECRET), basic, format!("{:?}", SECRET.as_bytes())] {
        let secret = secret.trim_matches(['[', ']']).to_lowercase();
        let lower = text.to_lowercase();
        let place = lower.find(&secret).map(|at| lower[..at].lines().next_back().unwrap_or_default().to_owned());
        assert!(place.is_none(), "{secret} is in {what}, after: {}", place.unwrap_or_default());
    }
}

async fn start(url: &str, schema: &str, world: &str) -> Service {
    let secret = |name: &str| format!("{SECRET}-{name}");
    let service = ServiceBuilder::on(url, schema)
        .outside_world(world)
        .env("LOG", "trace")
        .env("PROVIDER_ROUTES", "DE=solaris,GB=airwallex,NL=adyen,*=nexusbank")
        .env("SOLARIS_BASE_URL", world)
        .env("SOLARIS_TOKEN_URL", format!("{world}/oauth2/token"))
        .env("SOLARIS_CLIENT_ID", "client")
        .env("SOLARIS_CLIENT_SECRET", secret("secret"))
        .env("SOLARIS_BICS", "DE=SOBKDEB2XXX")
        .env("SOLARIS_WEBHOOK_SECRETS", secret("webhook"))
        .env("AIRWALLEX_BASE_URL", world)
        .env("AIRWALLEX_CLIENT_ID", "client")
        .env("AIRWALLEX_API_KEY", secret("key"))
        .env("AIRWALLEX_WEBHOOK_SECRETS", secret("webhook"))
        .env("ADYEN_BASE_URL", format!("{world}/bcl/v2"))
        .env("ADYEN_API_KEY", secret("key"))
        .env("ADYEN_HMAC_KEYS", hex::encode(SECRET))
        .env("ADYEN_BICS", "NL=ADYBNL2A")
        .env("ADYEN_ENVIRONMENT", "test")
        .env("BACKOFF_BASE", "5ms")
        .env("BACKOFF_CAP", "20ms")
        .env("BREAKER_OPEN_FOR", "50ms");
    service.start().await
}

async fn open(service: &Service, market: &str, currency: &str) -> String {
    let order = json!({"market": market, "customer_type": "company", "currency": currency,
                       "customer": {"reference": "cus_1", "name": "n", "email": "a@b.example", "country": market}});
    let request = service.client.post(format!("{}/v1/account-openings", service.internal)).json(&order);
    let opening = request.bearer_auth("development-token").header("idempotency-key", market).send().await.unwrap();
    let opening: Value = opening.json().await.unwrap();
    opening["id"].as_str().unwrap_or_else(|| panic!("{opening}")).to_owned()
}

/// P36, trap 2 of the adapters: a bank's secrets are never shown, also where the bank quotes them.
#[tokio::test]
async fn secrets_of_a_bank_are_in_no_log_metric_list_or_row() {
    let (url, schema) = fresh_schema().await;
    let ended = Program::new(&["migrate"]).env("DATABASE_URL", &*url).env("DATABASE_SCHEMA", &*schema).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let calls = Calls::default();
    let world = listen(Router::new().fallback(outside).with_state(calls.clone())).await;
    let service = start(&url, &schema, &world).await;
    for (market, currency, submission) in BANKS {
        let id = open(&service, market, currency).await;
        eventually(submission, WITHIN, async || {
            let seen = calls.lock().unwrap().get(submission).copied().unwrap_or_default();
            (seen >= 2).then_some(())
        })
        .await;
        for path in [String::new(), "/history".to_owned(), "/timeline".to_owned()] {
            let path = format!("/v1/account-openings/{id}{path}");
            clean(&path, &service.get(&path).await.to_string());
        }
    }
    for path in ["/v1/outbox", "/v1/dead-letters", "/v1/breakers", "/v1/tickets", "/v1/webhook-secrets"] {
        clean(path, &service.get(path).await.to_string());
    }
    clean("the metrics", &service.status(Method::GET, &format!("{}/metrics", service.internal)).await.1);
    rows(&url, &schema).await;
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("unusable"), "nothing was logged: {}", ended.stderr);
    clean("standard output", &ended.stdout);
    clean("the log", &ended.stderr);
}

/// Every row of every table, as text.
async fn rows(url: &str, schema: &str) {
    let (url, schema) = (url.to_owned(), schema.to_owned());
    let acquire_timeout = std::time::Duration::from_secs(10);
    let options = account_opening::db::PoolOptions { url, schema, max_connections: 1, acquire_timeout };
    let pool = account_opening::db::connect(&options).unwrap();
    let tables = "select tablename::text from pg_tables where schemaname = current_schema()";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let rows = format!("select coalesce(string_agg(t::text, chr(10)), '') from {table} t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&pool).await.unwrap();
        clean(&table, &rows);
    }
    pool.close().await;
}
