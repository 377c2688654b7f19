//! The erasure of an opening reaches the files of reports, and what was read of them.

use serde_json::json;

use super::register::{IBAN, OTHER_IBAN, completed, first_day, waiting};
use super::{REGISTER, reconcile, upload};
use crate::support::TestApp;

/// The values' bytes are overwritten where they stand; all other bytes and the digest stay.
#[tokio::test]
async fn an_erasure_reaches_the_rows_and_the_bytes_of_reports() {
    let app = TestApp::start().await;
    let (opening, other) = (completed(&app, IBAN).await, waiting(&app).await);
    let register = first_day().about(&opening, "COMPLETED", OTHER_IBAN).about(&other, "IN_PROGRESS", "");
    let text = register.text();
    let report = reconcile(&app, &register).await;
    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    let erase = format!("/v1/account-openings/{}/erase", opening["id"].as_str().unwrap());
    assert_eq!(app.post(&erase, &json!({"reason": "the customer asked"})).await.0, 202);
    let raw = app.request(reqwest::Method::GET, &format!("{path}/raw")).send().await.unwrap().text().await.unwrap();
    let (before, after): (Vec<&str>, Vec<&str>) = (text.lines().collect(), raw.lines().collect());
    assert_eq!((before.len(), text.len()), (after.len(), raw.len()));
    assert!(!raw.contains(OTHER_IBAN) && after[2].starts_with("***") && after[2].matches(',').count() == 9, "{raw}");
    assert_eq!((&before[..2], &before[3..]), (&after[..2], &after[3..]), "nothing else is touched");
    let rows = app.items(&format!("{path}/rows")).await;
    assert_eq!((&rows[0]["redacted"], &rows[1]["redacted"]), (&json!(true), &json!(false)));
    assert_eq!(app.get(&path).await["sha256"], report["sha256"], "of the bytes as they were received");
    let mismatch = &app.items("/v1/mismatches").await[0];
    assert_eq!((&mismatch["ours"], &mismatch["theirs"]), (&json!({}), &json!({})), "{mismatch}");
    let everywhere: i64 = sqlx::query_scalar(
        "select (select count(*) from report_rows where theirs::text like $1 or ours::text like $1)
              + (select count(*) from mismatches where (ours, theirs, differences, evidence)::text like $1)
              + (select count(*) from cases where (ours, theirs, cause)::text like $1)
              + (select count(*) from report_chunks where position(convert_to($2, 'UTF8') in bytes) > 0)",
    )
    .bind(format!("%{OTHER_IBAN}%"))
    .bind(OTHER_IBAN)
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(everywhere, 0);
    app.finish().await;
}

/// Also what of it became no row, and the file stays UTF-16.
#[tokio::test]
async fn an_erasure_reaches_rows_and_bad_rows_of_a_file_in_utf_16() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    let tracking_id = opening["provider_reference"].as_str().unwrap();
    let bad = format!("{tracking_id},too few fields,{IBAN}");
    let text = format!("\u{feff}{}", first_day().about(&opening, "COMPLETED", OTHER_IBAN).row(&bad).text());
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let uploaded = upload(&app, REGISTER, bytes.clone()).await;
    app.settle().await;
    let path = format!("/v1/reports/{}", uploaded.id());
    let report = app.get(&path).await;
    assert_eq!((&report["state"], &report["rows"], &report["bad_rows"]), (&json!("finished"), &json!(2), &json!(1)));
    let erase = format!("/v1/account-openings/{}/erase", opening["id"].as_str().unwrap());
    assert_eq!(app.post(&erase, &json!({"reason": "the customer asked"})).await.0, 202);
    let raw = app.request(reqwest::Method::GET, &format!("{path}/raw")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(raw.len(), bytes.len());
    let units: Vec<u16> = raw.chunks_exact(2).map(|it| u16::from_le_bytes([it[0], it[1]])).collect();
    let after = String::from_utf16(&units).unwrap();
    for value in [IBAN, OTHER_IBAN, tracking_id] {
        assert!(text.contains(value) && !after.contains(value), "{value}: {after}");
    }
    let (before, after): (Vec<&str>, Vec<&str>) = (text.lines().collect(), after.lines().collect());
    assert_eq!((&before[..2], &before[4..]), (&after[..2], &after[4..]), "nothing else is touched");
    assert_eq!(after[3].matches(',').count(), 2, "{}", after[3]);
    assert_eq!(app.items(&format!("{path}/errors")).await[0]["detail"], "erased");
    app.finish().await;
}
