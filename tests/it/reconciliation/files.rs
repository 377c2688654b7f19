//! The receipt of report files: the bytes, once, bounded, and with clear errors.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use account_opening::driver::tick;
use account_opening::faults::{FaultPoint, Place, Step, When};
use account_opening::reconciliation::Reconciler;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{REGISTER, Register, upload, upload_as};
use crate::support::{TestApp, problem};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn register() -> Register {
    Register::of_day("2026-01-01").row("aor_1,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,")
}

#[tokio::test]
async fn a_file_is_kept_as_it_came_and_the_same_bytes_are_the_same_report() {
    let app = TestApp::start().await;
    let text = register().text();
    let first = upload(&app, &format!("{REGISTER}&file_name=jan.csv"), text.clone()).await;
    assert_eq!(
        (first.status, first.location),
        (202, Some(format!("/v1/reports/{}", first.body["id"].as_str().unwrap())))
    );
    assert_eq!((&first.body["state"], &first.body["file_name"]), (&json!("received"), &json!("jan.csv")));
    assert_eq!(first.body["bytes"], text.len());
    let again = upload_as(&app, REGISTER, gzip(text.as_bytes()), &[("content-encoding", "gzip")]).await;
    assert_eq!((again.status, again.replayed, &again.body["id"]), (200, true, &first.body["id"]));
    let raw = app.request(reqwest::Method::GET, &format!("/v1/reports/{}/raw", first.body["id"].as_str().unwrap()));
    assert_eq!(raw.send().await.unwrap().text().await.unwrap(), text);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn a_dry_run_reads_and_lists_without_effect_and_is_no_copy() {
    let app = TestApp::start().await;
    let dry = upload(&app, &format!("{REGISTER}&dry_run=true"), register().text()).await;
    app.settle().await;
    let report = app.get(&format!("/v1/reports/{}", dry.body["id"].as_str().unwrap())).await;
    assert_eq!((&report["state"], &report["dry_run"]), (&json!("finished"), &json!(true)));
    assert_eq!(report["counts"], json!({"MISSING_INTERNAL": 1}));
    assert!(app.items("/v1/mismatches").await.is_empty() && app.items("/v1/cases").await.is_empty());
    let real = upload(&app, REGISTER, register().text()).await;
    assert_eq!((real.status, real.replayed), (202, false));
    app.settle().await;
    assert_eq!(app.items("/v1/mismatches").await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn bad_rows_are_named_and_the_others_go_on() {
    let app = TestApp::start().await;
    let row = "aor_2,,COMPLETED,BE00123,NEXUBEBB,,BE,EUR,2026-01-01T08:00:00Z,2026-01-01T09:30:00Z";
    let uploaded = upload(&app, REGISTER, register().row(row).text()).await;
    app.settle().await;
    let path = format!("/v1/reports/{}", uploaded.id());
    let report = app.get(&path).await;
    assert_eq!((&report["rows"], &report["bad_rows"], &report["complete"]), (&json!(2), &json!(1), &json!(false)));
    let errors = app.items(&format!("{path}/errors")).await;
    let error = &errors[0];
    assert_eq!(
        (errors.len(), &error["line"], &error["field"], &error["code"]),
        (1, &json!(4), &json!("iban"), &json!("invalid_iban"))
    );
    assert_eq!(app.items(&format!("{path}/rows")).await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_is_no_report_is_refused_with_what_was_found_and_expected() {
    let app = TestApp::start().await;
    let refused = async |query: &str, body: Vec<u8>, headers: &[(&'static str, &str)]| {
        let uploaded = upload_as(&app, query, body, headers).await;
        (uploaded.status, uploaded.body.to_string())
    };
    let text = register().text();
    let (status, body) = refused(REGISTER, b"a,b,c\n1,2,3\n".to_vec(), &[]).await;
    assert_eq!(status, 422);
    assert!(body.contains("columns found: a,b,c") && body.contains("columns expected: "), "{body}");
    let zip = b"PK\x03\x04rest".to_vec();
    for (query, bytes, expected) in [
        (REGISTER, zip, 422),
        ("provider=nexusbank&kind=charges", text.clone().into_bytes(), 422),
        ("provider=other&kind=register", text.clone().into_bytes(), 422),
        ("provider=nexusbank&kind=bank", text.clone().into_bytes(), 422),
        ("kind=register", text.clone().into_bytes(), 422),
        ("provider=nexusbank&kind=registers", text.clone().into_bytes(), 422),
        ("provider=nexusbank&kind=register&what=1", text.clone().into_bytes(), 400),
        (REGISTER, Vec::new(), 422),
    ] {
        let (status, body) = refused(query, bytes, &[]).await;
        assert_eq!(status, expected, "{query}: {body}");
    }
    let gzipped = [("content-encoding", "gzip")];
    assert_eq!(refused(REGISTER, text.clone().into_bytes(), &gzipped).await.0, 422);
    assert_eq!(refused(REGISTER, text.into_bytes(), &[("content-encoding", "br")]).await.0, 415);
    assert!(app.items("/v1/reports").await.is_empty(), "nothing is kept of them");
    app.finish().await;
}

#[tokio::test]
async fn a_body_beyond_the_bound_or_the_ratio_is_refused_and_leaves_nothing() {
    let app = TestApp::with().settings(|it| it.reconciliation.report_max_bytes = "100000".to_owned()).start().await;
    let large = upload(&app, REGISTER, vec![b'x'; 100_001]).await;
    assert_eq!(large.status, 413, "{}", large.body);
    app.finish().await;
    let app = TestApp::start().await;
    let zeros = gzip(&vec![0; 64 << 20]);
    let bomb = upload_as(&app, REGISTER, zeros, &[("content-encoding", "gzip")]).await;
    assert_eq!(bomb.status, 413, "{}", bomb.body);
    assert!(app.items("/v1/reports").await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn readers_read_and_operators_upload() {
    let app = TestApp::start().await;
    let url = format!("{}/v1/reports?{REGISTER}", app.internal);
    let response = app.client.post(url).bearer_auth("reader-token").body(register().text()).send().await.unwrap();
    problem(response, 403, "forbidden").await;
    app.finish().await;
}

/// P28: the erasure of an opening while its file is being read costs no other row, and the file is still complete.
#[tokio::test]
async fn an_erasure_in_the_middle_of_a_file_loses_no_row() {
    let app = TestApp::with().settings(|it| it.reconciliation.recon_hold = "100%".to_owned()).start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    app.settle().await;
    let mut many = Register::of_day("2026-01-01").about(&app.opening(&id).await, "COMPLETED", "BE68539007547034");
    for n in 1..12_000 {
        many = many.row(&format!("aor_{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let uploaded = upload(&app, &format!("{REGISTER}&dry_run=true"), many.text()).await;
    assert!(tick(&failing_after_a_slice(&app)).await.is_err());
    let path = format!("/v1/reports/{}", uploaded.id());
    assert_eq!(app.get(&path).await["rows"], 10_000);
    let erase = format!("/v1/account-openings/{id}/erase");
    assert_eq!(app.post(&erase, &json!({"reason": "the customer asked"})).await.0, 202);
    app.pass(chrono::TimeDelta::seconds(1));
    app.settle().await;
    let report = app.get(&path).await;
    assert_eq!(
        (&report["state"], &report["rows"], &report["bad_rows"], &report["complete"]),
        (&json!("finished"), &json!(12_000), &json!(0), &json!(true))
    );
    let lines: Vec<i64> =
        sqlx::query_scalar("select line from report_rows order by n").fetch_all(&app.pool).await.unwrap();
    assert_eq!(lines, (3..12_003).collect::<Vec<_>>());
    app.finish().await;
}

/// A worker to which the second slice of a file fails. The look at mismatches and the first slice are settled before.
fn failing_after_a_slice(app: &TestApp) -> Reconciler {
    let settled = AtomicU32::new(0);
    let strike = move |place: Place| {
        let counts = place.step == Step::Settle && place.when == When::Before;
        (counts && settled.fetch_add(1, Ordering::SeqCst) == 2).then_some(sqlx::Error::PoolTimedOut)
    };
    let mut context = app.context.clone();
    context.shell.faults = FaultPoint::new(strike);
    let settings = context.policies.reconciliation.clone();
    Reconciler::new(context, settings, CancellationToken::new())
}

/// A worker that fails in the middle of a file leaves its rows and errors; the next one reads on behind them.
#[tokio::test]
async fn a_file_that_is_read_again_has_each_row_and_error_once() {
    let app = TestApp::with().settings(|it| it.reconciliation.recon_hold = "100%".to_owned()).start().await;
    let mut many = Register::of_day("2026-01-01");
    for n in 0..12_000 {
        let row = if n % 4_000 == 7 { "COMPLETED,BE00123,NEXUBEBB" } else { "IN_PROGRESS,," };
        many = many.row(&format!("aor_{n},,{row},,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let uploaded = upload(&app, &format!("{REGISTER}&dry_run=true"), many.text()).await;
    assert!(tick(&failing_after_a_slice(&app)).await.is_err());
    let path = format!("/v1/reports/{}", uploaded.id());
    let half = app.get(&path).await["rows"].as_i64().unwrap();
    assert!((5_000..12_000).contains(&half), "{half}");
    app.pass(chrono::TimeDelta::seconds(1));
    app.settle().await;
    let report = app.get(&path).await;
    assert_eq!(
        (&report["state"], &report["rows"], &report["bad_rows"]),
        (&json!("finished"), &json!(12_000), &json!(3))
    );
    let rows: (i64, i64) =
        sqlx::query_as("select count(*), count(distinct line) from report_rows").fetch_one(&app.pool).await.unwrap();
    assert_eq!((rows, app.items(&format!("{path}/errors")).await.len()), ((11_997, 11_997), 3));
    app.finish().await;
}
