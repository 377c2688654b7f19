//! Files that are made to hurt: the webhooks beside them are acknowledged, memory stays bounded, and a good file is read after them.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::Value;

use super::{REGISTER, Register};
use crate::support::process::eventually;
use crate::support::service::{Service, ServiceBuilder};

const STATEMENT: &str = "provider=nexusbank&kind=bank";
/// The memory that a file may take (P33).
const BEYOND_IDLE_MB: u64 = 200;
const WITHIN: Duration = Duration::from_mins(2);

/// A gigabyte of zeros.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..1_024).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap()
}

fn with_head(rest: &str) -> Vec<u8> {
    let text = Register::of_day("2026-01-01").text();
    let head: Vec<&str> = text.lines().take(2).collect();
    format!("{}\n{rest}", head.join("\n")).into_bytes()
}

fn hostile() -> Vec<(&'static str, &'static str, Vec<u8>, Option<&'static str>)> {
    let columns = "a,".repeat(100_000);
    let deep =
        format!("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\">{}", "<a>".repeat(1_000_000));
    let entities = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;&b;\">]><Document>&c;</Document>";
    vec![
        ("a gigabyte of zeros in gzip", REGISTER, bomb(), Some("gzip")),
        ("a million open quotes", REGISTER, with_head(&"\"\n".repeat(1_000_000)), None),
        ("a million quoted quotes", REGISTER, with_head(&"\"\"\"".repeat(1_000_000)), None),
        ("100,000 columns in the head", REGISTER, format!("{columns}\n{columns}\n").into_bytes(), None),
        ("100,000 columns in a row", REGISTER, with_head(&columns), None),
        ("one line of 64 MB", REGISTER, with_head(&"x".repeat(64 << 20)), None),
        ("zero bytes", REGISTER, with_head(&"\0".repeat(1 << 20)), None),
        ("deep XML", STATEMENT, deep.into_bytes(), None),
        ("entities", STATEMENT, entities.to_owned().into_bytes(), None),
    ]
}

/// Uploads a file; its report, or the problem.
async fn upload(service: &Service, query: &str, body: Vec<u8>, encoding: Option<&str>) -> (u16, Value) {
    let url = format!("{}/v1/reports?{query}", service.internal);
    let mut request = service.client.request(Method::POST, url).bearer_auth("development-token").body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    let response = request.timeout(WITHIN).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The report once it has ended.
async fn ended(service: &Service, report: &Value) -> Value {
    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap_or_else(|| panic!("{report}")));
    let ask = async || {
        let report = service.get(&path).await;
        (!matches!(report["state"].as_str(), Some("received" | "reading"))).then_some(report)
    };
    eventually("the report has ended", WITHIN, ask).await
}

/// Megabytes; the most so far.
fn peak(service: &Service) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.process.pid())).ok()?;
    let line = status.lines().find(|it| it.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1_024)
}

#[tokio::test]
async fn hostile_files_stop_no_webhook_and_no_good_file() {
    let service = ServiceBuilder::new().start().await;
    let bank = service.bank();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let webhooks = tokio::spawn(async move {
        let mut answers = Vec::new();
        while stopped.try_recv().is_err() {
            answers.push(bank.webhook(&format!("beside_{}", answers.len())).await);
        }
        answers
    });
    let idle = peak(&service);
    for (name, query, body, encoding) in hostile() {
        let (status, answer) = upload(&service, query, body, encoding).await;
        if status == 202 {
            let report = ended(&service, &answer).await;
            let is_refused = report["state"] == "failed" || report["complete"] == false;
            assert!(is_refused && report["counts"] == serde_json::json!({}), "{name}: {report}");
        } else {
            assert!(matches!(status, 413 | 422), "{name}: {status} {answer}");
        }
    }
    if let (Some(idle), Some(peak)) = (idle, peak(&service)) {
        assert!(peak < idle + BEYOND_IDLE_MB, "{peak} MB, {idle} before");
    }
    let good = Register::of_day("2026-01-01").row("aor_1,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,").text();
    let (status, report) = upload(&service, &format!("{REGISTER}&dry_run=true"), good.into_bytes(), None).await;
    assert_eq!(status, 202, "{report}");
    assert_eq!(ended(&service, &report).await["state"], "finished");
    stop.send(()).unwrap();
    let answers = webhooks.await.unwrap();
    assert!(answers.len() > 100 && answers.iter().all(|it| *it == 200), "{answers:?}");
    service.stop().await;
}
