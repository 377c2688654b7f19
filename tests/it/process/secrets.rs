//! Personal data and secrets are in no log, metric, problem or list of dead letters, also where everything is logged. That
//! holds for any request to the service and any answer of other systems.
//!
//! The outside world here quotes what it was sent in all that it answers, as real ones do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use account_opening::clock::Clock;
use account_opening::db::describe;
use account_opening::provider::signature::{self, WebhookSecret};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::dashboard::{Visitor, location};
use crate::support::cluster::fresh_schema;
use crate::support::evidence_key;
use crate::support::listen;
use crate::support::process::{Program, WITHIN, eventually};
use crate::support::service::{Service, ServiceBuilder};

/// Each stands in something that must not be seen.
const CANARY: &str = "canary";
const IBAN: &str = "BE68539007547034";
const WEBHOOK_SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";
const SUBSCRIBER_SECRET: &str = "whsec_c3Vic2NyaWJlci1zdWJzY3JpYmVyLXN1YnM=";
const HISTORY_KEY: &str = "aGlzdG9yeS1rZXktaGlzdG9yeS1rZXktaGlzdG9yeS0=";

/// The texts that must be nowhere, in small letters.
fn forbidden() -> Vec<String> {
    let evidence_key = evidence_key();
    // Its second line, between those that say what it is.
    let evidence_key = evidence_key.lines().nth(1).unwrap();
    let (webhook, subscriber) = (&WEBHOOK_SECRET["whsec_".len()..], &SUBSCRIBER_SECRET["whsec_".len()..]);
    let secrets = [CANARY, IBAN, webhook, subscriber, HISTORY_KEY, evidence_key];
    let forms = secrets.into_iter().map(str::to_lowercase);
    // As bytes are shown where they are debugged, and as a trace of the wire would have them.
    forms.chain([hex::encode(CANARY), format!("{:?}", CANARY.as_bytes()).replace(['[', ']'], "")]).collect()
}

fn clean(what: &str, text: &str) {
    for secret in forbidden() {
        let lower = text.to_lowercase();
        let at = lower.find(&secret).map(|at| lower[..at].lines().next_back().unwrap_or_default().to_owned());
        assert!(at.is_none(), "{secret} is in {what}, after: {}", at.unwrap_or_default());
    }
}

/// Answers that are none, to the same call one after the other; all quote it. Then it is taken.
type World = Arc<Mutex<HashMap<String, usize>>>;

async fn outside(State(world): State<World>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let quote = format!("{CANARY} {} {:?} {}", head.uri, head.headers, String::from_utf8_lossy(&body));
    let reference = sent["customer"]["reference"].as_str().unwrap_or("canary-normal").to_owned();
    let path = head.uri.path().to_owned();
    let times = {
        let mut world = world.lock().unwrap();
        let times = world.entry(format!("{} {path} {reference}", head.method)).or_default();
        *times += 1;
        *times
    };
    let refusal = || json!({"code": "no_such_person", "message": quote}).to_string();
    if reference == "canary-no-profile" && path == "/v1/profiles" {
        return (StatusCode::BAD_REQUEST, refusal()).into_response();
    }
    if reference == "canary-refused" && path == "/v1/account-opening-requests" && times > 6 {
        return (StatusCode::UNPROCESSABLE_ENTITY, refusal()).into_response();
    }
    let location = [("location", format!("http://127.0.0.1:9/{CANARY}"))];
    // All that are no answers, of its submission and of looking for it, are fewer than `MAX_ATTEMPTS`.
    let looks = head.method == Method::GET && times > 3;
    match times {
        _ if looks => taken(&path, &sent),
        1 => (StatusCode::INTERNAL_SERVER_ERROR, quote).into_response(),
        2 => (StatusCode::FOUND, location, quote).into_response(),
        3 => (StatusCode::BAD_REQUEST, quote).into_response(),
        4 => (StatusCode::OK, quote).into_response(),
        5 => axum::Json(json!({"profile_id": [quote], "card_id": {"x": quote}, "status": [quote], "items": quote}))
            .into_response(),
        6 => axum::Json(json!({"profile_id": "\u{0}canary", "card_id": "", "status": quote, "items": [[quote]],
                               "account_opening_request_id": "a\u{0}canary"}))
        .into_response(),
        _ => taken(&path, &sent),
    }
}

fn taken(path: &str, sent: &Value) -> Response {
    match path {
        "/v1/profiles" => axum::Json(json!({"profile_id": "pro_1", "name": CANARY})).into_response(),
        "/v1/virtual-cards" => axum::Json(json!({"card_id": "card_1", "iban": IBAN})).into_response(),
        "/v1/account-opening-requests" if sent.is_object() => {
            let id = format!("aor_{}", &sent["reference"].as_str().unwrap()[24..]);
            let body = json!({"account_opening_request_id": id, "reference": sent["reference"], "status": "INITIATED"});
            (StatusCode::ACCEPTED, axum::Json(body)).into_response()
        }
        "/v1/account-opening-requests" => axum::Json(json!({"items": [], "next_cursor": null})).into_response(),
        _ => StatusCode::OK.into_response(),
    }
}

fn order(reference: &str) -> Value {
    json!({"market": "BE", "customer_type": "company", "currency": "EUR", "customer":
           {"reference": reference, "name": "Canary Person", "email": "canary@canary.example", "country": "BE"}})
}

/// The service with a secret in every setting that is one, on a world that quotes it.
async fn start(format: &str) -> (Service, PgPool) {
    let (url, schema) = fresh_schema().await;
    let ended = Program::new(&["migrate"]).env("DATABASE_URL", &*url).env("DATABASE_SCHEMA", &*schema).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let world = listen(Router::new().fallback(outside).with_state(World::default())).await;
    // The cluster trusts its users, with any password.
    let with_password = url.replacen('@', ":canary-password@", 1);
    assert_ne!(with_password, url);
    let service = ServiceBuilder::on(&with_password, &schema)
        .outside_world(&world)
        .env("LOG", "trace")
        .env("LOG_FORMAT", format)
        .env("API_TOKENS", "shop:canary-token:admin")
        .env("NEXUSBANK_API_KEY", "canary-api-key")
        .env("NEXUSBANK_WEBHOOK_SECRETS", WEBHOOK_SECRET)
        .env("EVENT_SUBSCRIBERS", format!("{world}/events|{SUBSCRIBER_SECRET}"))
        .env("HISTORY_KEY", HISTORY_KEY)
        .env("EVIDENCE_KEY", evidence_key())
        .env("BACKOFF_BASE", "5ms")
        .env("BACKOFF_CAP", "20ms")
        .env("POLL_SCHEDULE", "200ms")
        .start()
        .await
        .with_token("canary-token");
    let options = account_opening::db::PoolOptions {
        url,
        schema,
        max_connections: 1,
        acquire_timeout: std::time::Duration::from_secs(10),
    };
    (service, account_opening::db::connect(&options).unwrap())
}

async fn webhook(service: &Service, id: &str, secret: &str, body: String) -> (u16, String) {
    let (now, secret) = (Clock::system().now(), WebhookSecret::parse(secret).unwrap());
    let request = service
        .client
        .post(format!("{}/webhooks/nexusbank?{CANARY}=1", service.public))
        .header("content-type", "application/json")
        .header("x-customer", CANARY)
        .header(signature::ID, id)
        .header(signature::TIMESTAMP, now.timestamp().to_string())
        .header(signature::SIGNATURE, signature::sign(&secret, id, now, body.as_bytes()));
    let response = request.body(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn message(tracking_id: &Value, status: &str) -> String {
    let data = json!({"account_opening_request_id": tracking_id, "status": status, "iban": IBAN, "bic": "NEXUBEBB",
                      "rejection_reason": "Canary Person is not known", "holder": "Canary Person"});
    json!({"type": "account_opening_request.status_changed", "canary": CANARY, "data": data}).to_string()
}

/// Requests that are refused, each with something that must not come back.
async fn refusals(service: &Service) {
    let post = async |path: &str, key: &str, body: &str| {
        let url = format!("{}{path}", service.internal);
        let request = service.client.post(url).bearer_auth("canary-token").header("idempotency-key", key);
        let response = request.body(body.to_owned()).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_client_error(), "{path}: {status} {text}");
        clean(path, &text);
    };
    let strange = json!({"market": CANARY, "customer_type": CANARY, "currency": CANARY, "flow": CANARY, "customer":
        {"reference": ["canary"], "name": {"is": CANARY}, "email": CANARY, "country": "canary\u{0}"}});
    let unknown = json!({"market": "BE", "unknown": CANARY, "status": CANARY, "reason": CANARY});
    for body in [strange.to_string(), unknown.to_string(), format!("{{\"{CANARY}"), format!("[\"{CANARY}\"]")] {
        for path in
            ["/v1/account-openings", "/company/account-opening/set-status-sandbox", "/v1/account-openings/canary/poll"]
        {
            post(path, "canary-key", &body).await;
        }
        post("/v1/account-openings", &"canary".repeat(100), &body).await;
    }
    for path in
        ["/v1/account-openings/canary", "/v1/account-openings?status=canary", "/v1/events?cursor=canary", "/canary"]
    {
        for token in ["canary-token", "canary-wrong"] {
            let request = service.client.get(format!("{}{path}", service.internal)).bearer_auth(token);
            let response = request.send().await.unwrap();
            assert!(response.status().is_client_error(), "{path}");
            clean(path, &response.text().await.unwrap());
        }
    }
}

/// Starts an opening.
async fn open(service: &Service, reference: &str) -> String {
    let request = service.client.post(format!("{}/v1/account-openings", service.internal));
    let request = request.bearer_auth("canary-token").header("idempotency-key", reference).json(&order(reference));
    let opening: Value = request.send().await.unwrap().json().await.unwrap();
    opening["id"].as_str().unwrap_or_else(|| panic!("{opening}")).to_owned()
}

/// Facts that another version wrote and we cannot read, and one that the database refuses.
async fn poison(pool: &PgPool, opening: &str) {
    for (id, body) in [
        ("canary-1", r#"{"kind":"canary"}"#),
        ("canary-2", r#"{"kind":"submission_rejected","code":"canary\u0000","message":"canary\u0000"}"#),
        ("canary-3", r#"{"kind":"polled","asked_at":"canary"}"#),
    ] {
        sqlx::query(
            "insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, opening_id,
                                received_at, retry_from, status, due_at)
             values ($1, 'command:nexusbank', $2, 'command', 'nexusbank', $3, sha256($3), '{}', $4, now(), now(),
                     'pending', now())",
        )
        .bind(account_opening::clock::Ids::new(Clock::system()).next())
        .bind(id)
        .bind(body.as_bytes())
        .bind(uuid::Uuid::parse_str(opening).unwrap())
        .execute(pool)
        .await
        .unwrap();
    }
}

async fn dead_letters(service: &Service, at_least: usize) -> Value {
    eventually("dead letters", WITHIN, async || {
        let letters = service.get("/v1/dead-letters?limit=200").await;
        (letters["items"].as_array().unwrap().len() >= at_least).then_some(letters)
    })
    .await
}

/// A person signs in, looks at pages, reveals the customer, searches for the IBAN and takes exports: the session.
async fn looked_at(service: &Service, opening: &str) -> String {
    let mut visitor = Visitor::at(&service.internal);
    assert_eq!(visitor.sign_in("canary-token", "").await.status(), 303);
    let opening = format!("/openings/{opening}");
    for path in ["/", "/openings", "/cases", "/dead-letters", "/refused", "/acts", "/openings.csv", "/acts.csv"] {
        visitor.page(path).await;
    }
    visitor.page(&format!("{opening}/evidence.json")).await;
    let form = visitor.page(&format!("{opening}/reveal")).await;
    let revealed = visitor.act(&form, "reveal_personal_data", &[("reason", "canary asks")]).await;
    assert_eq!(revealed.status(), 303);
    assert!(visitor.page(location(&revealed)).await.contains("canary@canary.example"));
    for text in [IBAN, "canary@canary.example"] {
        visitor.post("/search", &[("q", text)]).await;
        visitor.post(&format!("{opening}/check-iban"), &[("iban", text)]).await;
    }
    visitor.post("/login", &[("token", "canary-wrong")]).await;
    visitor.session().to_owned()
}

async fn a_whole_run(format: &str) {
    let (service, pool) = start(format).await;
    let refused = open(&service, "canary-refused").await;
    open(&service, "canary-no-profile").await;
    let [completed, rejected] = [open(&service, "canary-completed").await, open(&service, "canary-rejected").await];
    poison(&pool, &refused).await;
    refusals(&service).await;
    for (n, body) in [format!("{CANARY} no JSON"), json!({"type": [CANARY]}).to_string()].into_iter().enumerate() {
        assert_eq!(webhook(&service, &format!("msg_{n}"), WEBHOOK_SECRET, body.clone()).await, (200, String::new()));
        assert_eq!(webhook(&service, &format!("msg_{n}"), SUBSCRIBER_SECRET, body).await, (401, String::new()));
    }
    for (id, status, state) in [(&completed, "COMPLETED", "completed"), (&rejected, "REJECTED", "rejected")] {
        let waits = service.reaches(id, "awaiting_provider").await;
        let body = message(&waits["provider_reference"], status);
        assert_eq!(webhook(&service, id, WEBHOOK_SECRET, body).await.0, 200);
        service.reaches(id, state).await;
    }
    // The other terminal answer: a case.
    let held = service.get(&format!("/v1/account-openings/{completed}")).await;
    let body = message(&held["provider_reference"], "REJECTED");
    assert_eq!(webhook(&service, "msg_other", WEBHOOK_SECRET, body).await.0, 200);
    service.reaches(&refused, "rejected").await;
    // Two webhooks that cannot be read, a command that was refused, two facts that cannot be read. The third is refused by
    // the database until its opening is rejected.
    let letters = dead_letters(&service, 5).await;
    clean("the dead letters", &letters.to_string());
    for id in [&completed, &refused] {
        clean("the history", &service.get(&format!("/v1/account-openings/{id}/history")).await.to_string());
    }
    let session = looked_at(&service, &completed).await;
    let (_, metrics) = service.status(Method::GET, &format!("{}/metrics", service.internal)).await;
    clean("the metrics", &metrics);
    pool.close().await;

    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    clean("standard output", &ended.stdout);
    assert!(!ended.stderr.contains(&session) && !metrics.contains(&session), "a session is in the log or in a metric");
    clean("the log", &ended.stderr);
    assert!(ended.stderr.contains("DEBUG") && ended.stderr.contains("webhook refused"), "nothing was logged");
    let chatty = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| {
        let ours = line["target"].as_str().is_some_and(|it| it.starts_with("account_opening"));
        !ours && ["DEBUG", "TRACE"].map(Value::from).contains(&line["level"])
    });
    assert_eq!(chatty, None, "a library that nobody named");
}

#[tokio::test]
async fn neither_personal_data_nor_secrets_are_in_json_logs_metrics_problems_or_lists() {
    a_whole_run("json").await;
}

#[tokio::test]
async fn neither_personal_data_nor_secrets_are_in_text_logs() {
    a_whole_run("text").await;
}

/// A database error about a value quotes it; one about a name does not, and helps.
#[tokio::test]
async fn an_error_of_the_database_is_described_without_its_values() {
    let (url, schema) = fresh_schema().await;
    let options = account_opening::db::PoolOptions {
        url,
        schema,
        max_connections: 1,
        acquire_timeout: std::time::Duration::from_secs(10),
    };
    let pool = account_opening::db::connect(&options).unwrap();
    for (statement, says) in [
        ("select 'canary'::int", "22P02"),
        ("select 'canary'::uuid", "22P02"),
        ("do $$ begin raise exception 'canary'; end $$", "P0001"),
        ("select no_such_column", "no_such_column"),
    ] {
        let error = sqlx::query(statement).execute(&pool).await.unwrap_err();
        assert!(error.to_string().contains("canary") || says == "no_such_column", "{error}");
        let described = describe(&error);
        assert!(described.contains(says), "{described}");
        clean("a description", &described);
    }
    let error = sqlx::query_scalar::<_, uuid::Uuid>("select 'canary'").fetch_one(&pool).await.unwrap_err();
    clean("a description", &describe(&error));
    pool.close().await;
}
