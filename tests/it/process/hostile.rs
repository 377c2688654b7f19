//! Hostile requests to any endpoint of either listener cause no 5xx, no panic, and take no more memory than the limits allow.
//!
//! The endpoints, their parameters and their fields are read from the description, so that one that is added is covered.

use std::sync::LazyLock;

use account_opening::clock::Clock;
use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use axum::body::Bytes;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::cluster::fresh_schema;
use crate::support::memory;
use crate::support::process::Program;
use crate::support::service::{Service, ServiceBuilder};

/// At once.
const CROWD: usize = 8;
/// A crowd of bodies at their limits, and what comes of them; one body of those that are too large would not fit.
const ENOUGH: u64 = 48 * 1024 * 1024;
const TOO_LARGE: usize = 64 * 1024 * 1024;

/// A request that a client might send.
#[derive(Clone, Debug)]
struct Hostile {
    method: Method,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Hostile {
    fn new(method: &str, url: String) -> Self {
        Self { method: method.to_uppercase().parse().unwrap(), url, headers: Vec::new(), body: Bytes::new() }
    }

    fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The status; none where the connection ended first, as it may where a body is refused half-way.
    async fn send(self, service: &Service) -> Option<u16> {
        let mut request = service.client.request(self.method.clone(), &self.url);
        for (name, value) in &self.headers {
            request = request.header(name, reqwest::header::HeaderValue::from_bytes(value).unwrap());
        }
        let size = self.body.len();
        let status = request.body(self.body).send().await.ok()?.status().as_u16();
        assert!(status < 500, "{status}: {} {} {:?}, {size} bytes", self.method, self.url, self.headers);
        Some(status)
    }
}

/// JSON that is legal, JSON that is none, and what is neither.
fn bodies() -> Vec<Bytes> {
    static BODIES: LazyLock<Vec<Bytes>> = LazyLock::new(made_bodies);
    BODIES.clone()
}

fn made_bodies() -> Vec<Bytes> {
    let deep = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let keys = |count: usize| {
        let fields: Vec<String> = (0..count).map(|n| format!(r#""k{n}":1"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    let texts = [
        String::new(),
        " ".repeat(60_000),
        "null".to_owned(),
        "7".to_owned(),
        "\"text\"".to_owned(),
        "[]".to_owned(),
        "[{}]".to_owned(),
        "{}".to_owned(),
        "{".to_owned(),
        "{}{}".to_owned(),
        "{} trailing".to_owned(),
        "{}\0".to_owned(),
        "\u{feff}{}".to_owned(),
        r#"{"a":NaN}"#.to_owned(),
        r#"{"a":Infinity,"b":-Infinity}"#.to_owned(),
        r#"{"a":1e200000}"#.to_owned(),
        r#"{"a":-0.0e-99999999999999999999}"#.to_owned(),
        format!(r#"{{"a":{}}}"#, "9".repeat(60_000)),
        format!(r#"{{"a":0.{}}}"#, "1".repeat(60_000)),
        r#"{"a":1,"a":2}"#.to_owned(),
        r#"{"\u0000":"\u0000"}"#.to_owned(),
        r#"{"a":"\ud800","\udfff":1}"#.to_owned(),
        r"{'a':1}".to_owned(),
        "{\"a\":\"\u{1}\n\"}".to_owned(),
        format!(r#"{{"a":"{}"}}"#, "x".repeat(60_000)),
        deep("[", "]", 100_000),
        deep("[", "]", 30_000),
        deep("[", "]", 127),
        deep("[", "", 60_000),
        format!(r#"{{"a":{}}}"#, deep("[", "]", 30_000)),
        format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000)),
        keys(5_000),
        keys(1_000_000),
    ];
    let bytes: [&'static [u8]; 6] = [
        b"\xff\xfe{\0}\0",
        b"{\"a\":\"\xc3\x28\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\0",
        b"\x1f\x8b\x08\0",
        b"\xef\xbb\xbf",
    ];
    texts.into_iter().map(Bytes::from).chain(bytes.map(Bytes::from_static)).collect()
}

/// Values of every type, for any field, parameter or header.
fn values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{202e}\u{ffff}",
        "'; drop table inbox; --",
        "%00%ff%2e%2e/",
        "../../etc/passwd",
        "{{7*7}}%s%n",
        "-1",
        "1e9",
        "99999999999999999999",
        "COMPLETED",
        "00000000-0000-0000-0000-000000000000",
    ];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([json!(null), json!(true), json!(0), json!(-1), json!(1.5), json!(u64::MAX), json!(1e300)]);
    values.extend([
        json!([]),
        json!([[]]),
        json!({}),
        json!({"a": {"b": []}}),
        json!("x".repeat(10_000)),
        json!("é".repeat(300)),
    ]);
    values
}

/// An object of a described schema, with a text for each thing that is none.
fn example(description: &Value, schema: &Value, depth: usize) -> Value {
    let reference = schema["$ref"].as_str().and_then(|it| description.pointer(it.trim_start_matches('#')));
    let schema = reference.unwrap_or(schema);
    let options = ["oneOf", "allOf", "anyOf"].iter().filter_map(|it| schema[it].as_array()).flatten();
    if let Some(option) = options.into_iter().find(|it| it["type"] != "null") {
        return example(description, option, depth);
    }
    match schema["properties"].as_object() {
        Some(fields) if depth < 5 => {
            let fields = fields.iter().map(|(name, schema)| (name.clone(), example(description, schema, depth + 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        _ => schema["example"].as_str().unwrap_or("x").into(),
    }
}

/// Every place in an object.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .flat_map(|(name, value)| {
            let at = format!("{at}/{name}");
            [vec![at.clone()], pointers(value, &at)].concat()
        })
        .collect()
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| ["%", &hex::encode([byte])].concat()).collect::<Vec<_>>().concat()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).chars().take(2_000).collect()
}

/// Everything for one operation of the internal listener.
fn operation(description: &Value, base: &str, path: &str, method: &str, ids: &[String]) -> Vec<Hostile> {
    let described = &description["paths"][path][method];
    let url = |id: &str| format!("{base}{}", path.replace("{id}", id));
    let request = |url: String| {
        let key = account_opening::clock::Ids::new(Clock::system()).next().to_string();
        Hostile::new(method, url).header("authorization", "Bearer development-token").header("idempotency-key", key)
    };
    let json = |url: String| request(url).header("content-type", "application/json");
    let mut all = Vec::new();
    for id in ids {
        all.extend(bodies().into_iter().map(|body| json(url(id)).body(body)));
        let example = example(description, &described["requestBody"]["content"]["application/json"]["schema"], 0);
        for pointer in pointers(&example, "") {
            for value in values() {
                let mut body = example.clone();
                *body.pointer_mut(&pointer).unwrap() = value;
                all.push(json(url(id)).body(body.to_string()));
            }
        }
        if !path.contains("{id}") {
            break;
        }
    }
    for value in values() {
        let value = text(&value);
        let in_query = described["parameters"].as_array().into_iter().flatten().filter(|it| it["in"] == "query");
        for name in in_query.filter_map(|it| it["name"].as_str()).chain(["unknown"]) {
            all.push(request(format!("{}?{name}={}", url(&ids[0]), percent(&value))));
            all.push(request(format!("{}?{name}={1}&{name}={1}", url(&ids[0]), percent(&value))));
        }
        all.push(request(url(&percent(&value))));
        let plain: Vec<u8> = value.bytes().filter(|byte| *byte >= b' ' && *byte != 0x7f).collect();
        for name in
            ["authorization", "idempotency-key", "content-type", "x-request-id", "accept", "expect", "content-encoding"]
        {
            let plain_request = Hostile::new(method, url(&ids[0])).header(name, plain.clone());
            all.push(plain_request.body("{}"));
        }
    }
    all
}

fn webhook(service: &Service, id: &str, body: Bytes, signed: bool) -> Hostile {
    let (now, secret) = (Clock::system().now(), WebhookSecret::parse(DEVELOPMENT_WEBHOOK_SECRET).unwrap());
    let signature = if signed { signature::sign(&secret, id, now, &body) } else { "v1,AAAA".to_owned() };
    Hostile::new("post", format!("{}/webhooks/nexusbank", service.public))
        .header("content-type", "application/json")
        .header(signature::ID, id)
        .header(signature::TIMESTAMP, now.timestamp().to_string())
        .header(signature::SIGNATURE, signature)
        .body(body)
}

/// Bodies of all kinds, and messages with a wrong value in each field.
fn webhooks(service: &Service) -> Vec<Hostile> {
    let message = json!({"type": "account_opening_request.status_changed", "timestamp": "2026-01-01T00:00:00Z", "data":
        {"account_opening_request_id": "aor_x", "reference": "x", "status": "COMPLETED", "iban": "BE68539007547034",
         "bic": "NEXUBEBB", "rejection_reason": "x"}});
    let mut all = bodies();
    for pointer in pointers(&message, "") {
        for value in values() {
            let mut body = message.clone();
            *body.pointer_mut(&pointer).unwrap() = value;
            all.push(body.to_string().into());
        }
    }
    let both = |(n, body): (usize, Bytes)| {
        [webhook(service, &format!("msg_{n}"), body.clone(), true), webhook(service, &format!("msg_{n}"), body, false)]
    };
    all.into_iter().enumerate().flat_map(both).collect()
}

async fn send_all(service: &Service, requests: Vec<Hostile>) -> Vec<Option<u16>> {
    futures::stream::iter(requests).map(|it| it.send(service)).buffered(CROWD).collect().await
}

/// An opening and a dead letter: paths that lead somewhere.
async fn ids(service: &Service) -> Vec<String> {
    let (_, _, opening) = service.open("order-1").await;
    assert_eq!(webhook(service, "msg_dead", "no JSON".into(), true).send(service).await, Some(200));
    let letters = service.get("/v1/dead-letters").await;
    [&opening["id"], &letters["items"][0]["id"]].map(|id| id.as_str().unwrap().to_owned()).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_sent_to_any_endpoint_breaks_it() {
    let (url, schema) = fresh_schema().await;
    let ended = Program::new(&["migrate"]).env("DATABASE_URL", &*url).env("DATABASE_SCHEMA", &*schema).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let service = ServiceBuilder::on(&url, &schema).start().await;
    let ids = ids(&service).await;
    let before = memory::peak(service.process.pid());
    let description: Value = service.get("/openapi.json").await;
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            operations += 1;
            send_all(&service, operation(&description, &service.internal, path, method, &ids)).await;
            // More than may be, of a length that is told and of one that is not.
            let large = Hostile::new(method, format!("{}{}", service.internal, path.replace("{id}", &ids[0])));
            large.header("authorization", "Bearer development-token").body(vec![b' '; TOO_LARGE]).send(&service).await;
        }
    }
    assert!(operations >= 14, "{operations}");
    for answer in send_all(&service, webhooks(&service)).await.chunks(2) {
        // Refused for its size, or taken if signed and refused if not.
        assert!(matches!(answer, [Some(200), Some(401)] | [Some(413) | None, Some(413) | None]), "{answer:?}");
    }
    let large = webhook(&service, "msg_large", vec![b' '; TOO_LARGE].into(), true).send(&service).await;
    assert!(matches!(large, Some(413) | None), "{large:?}");
    let machines =
        ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs"].map(|path| format!("{}{path}", service.internal));
    for url in machines.into_iter().chain([format!("{}/livez", service.public)]) {
        for method in ["get", "post"] {
            let requests = bodies().into_iter().map(|body| Hostile::new(method, url.clone()).body(body));
            send_all(&service, requests.collect()).await;
        }
    }
    let grown = memory::peak(service.process.pid()).saturating_sub(before);
    // The service still does its work, and never panicked.
    assert_eq!(service.open("order-2").await.0, 202);
    let ended = service.stop().await;
    assert!(ended.code() == Some(0) && !ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(grown < ENOUGH, "grown by {grown} bytes");
}
