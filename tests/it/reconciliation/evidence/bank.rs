//! The evidence of bank statements: what entries were judged by, what they paid, and which statements do not count.

use super::{IBAN, completed, export, files, fits, key, lines, signed, verified};
use crate::reconciliation::bank::{BANK, Message, Statement, charges, entry, send};
use crate::reconciliation::charges::CHARGES;
use crate::support::TestApp;

/// A statement that adds up with entries of many classes, one that does not add up, and one behind a gap.
async fn bundle(app: &TestApp) -> Vec<u8> {
    let due = [("stl_1", "10.00"), ("stl_2", "20.00"), ("stl_3", "30.00"), ("stl_4", "40.00")];
    send(app, CHARGES, charges(&due).text()).await;
    let first = [
        entry("b1", "10.00", "stl_1"),
        entry("b2", "20.01", "Fees stl_2"),
        entry("b3", "7.00", "stl_7"),
        entry("b4", "5.00", "Rent"),
    ];
    let second = [entry("b5", "30.00", "stl_3"), entry("b6", "1.00", "Other")];
    let fourth = [entry("b7", "40.00", "stl_4")];
    let statements = [
        Statement::numbered(1, (0, -4_201), &first),
        Statement::numbered(2, (-4_201, -7_201), &second),
        Statement::numbered(4, (-7_301, -11_301), &fourth),
        Statement::numbered(5, (-11_301, -11_000), &[entry("b8", "1.00", "Fee")]),
    ];
    let report = send(app, BANK, Message::statements(&statements).text()).await;
    let counts = serde_json::json!({
        "MATCHED": 1, "BANK_MISMATCH": 1, "TIMING_MISMATCH": 1, "UNRELATED": 3, "BALANCE_MISMATCH": 2, "STATEMENT_GAP": 1
    });
    assert_eq!(report["counts"], counts, "{report}");
    export(app, report["id"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_bundle_of_a_bank_statement_is_classified_again() {
    let app = TestApp::start().await;
    let bundle = bundle(&app).await;
    let summary = fits(&bundle);
    assert_eq!((summary.kind.as_deref(), summary.rows, summary.redacted), (Some("bank"), 8, 0));
    let paid: Vec<_> = lines(&bundle, "data/ledger.jsonl").iter().map(|it| it["settlement_id"].clone()).collect();
    assert_eq!(paid, ["stl_1"]);
    let table = files(&bundle).into_iter().find(|it| it.0 == "data/matches.csv").unwrap().1;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("BANK_MISMATCH,another_amount,,false,stl_2,20.01,20.00,EUR,EUR"), "{table}");
    app.finish().await;
}

#[tokio::test]
async fn entries_that_come_again_corrected_cut_off_or_in_a_dry_run_verify() {
    let app = TestApp::start().await;
    send(&app, CHARGES, charges(&[("stl_1", "10.00"), ("stl_2", "20.00")]).text()).await;
    let first = entry("b1", "10.00", "stl_1");
    let notification = Message::notification(&[first.clone(), entry("b2", "3.00", "Rent")]);
    let again = [first.clone(), entry("b2", "3.00", "Rent, March"), entry("b3", "20.00", "stl_2")];
    let statement = Message::statements(&[Statement::numbered(1, (0, -3_300), &again)]);
    let wrong = Message::statements(&[Statement::numbered(2, (-3_300, -3_333), &[entry("b4", "1.00", "Fee")])]);
    let right = Message::statements(&[Statement::numbered(2, (-3_300, -3_400), &[entry("b4", "1.00", "Fee")])]);
    let [dry, twice] = [format!("{BANK}&dry_run=true"), format!("{BANK}&file_name=twice.xml")];
    let repeated = Message::statements(&[
        Statement::numbered(1, (0, -3_300), &again),
        Statement::numbered(1, (0, -3_300), &again),
    ]);
    for (query, text) in [
        (dry.as_str(), statement.text()),
        (BANK, notification.text()),
        (BANK, statement.text()),
        (BANK, statement.cut()),
        (BANK, wrong.text()),
        (BANK, right.made("2026-01-06T18:00:00Z").text()),
        (twice.as_str(), repeated.text()),
    ] {
        let report = send(&app, query, text).await;
        fits(&export(&app, report["id"].as_str().unwrap()).await);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_class_a_payment_or_a_statement_that_was_edited_is_named() {
    let app = TestApp::start().await;
    let bundle = bundle(&app).await;
    let payload: Vec<(String, Vec<u8>)> = files(&bundle).into_iter().filter(|it| it.0.starts_with("data/")).collect();
    for (file, from, to, place) in [
        ("data/rows.jsonl", "\"BANK_MISMATCH\"", "\"MATCHED\"", "data/rows.jsonl line 2: is MATCHED by another_amount"),
        (
            "data/rows.jsonl",
            "\"UNRELATED\"",
            "\"MATCHED\"",
            "data/rows.jsonl line 4: is MATCHED by names_no_settlement",
        ),
        ("data/rows.jsonl", "\"STATEMENT_GAP\"", "\"BALANCE_MISMATCH\"", "data/rows.jsonl line 7: is BALANCE_MISMATCH"),
        ("data/rows.jsonl", "\"BALANCE_MISMATCH\"", "\"STATEMENT_GAP\"", "data/rows.jsonl line 5: is STATEMENT_GAP"),
        ("data/rows.jsonl", "\"names\": [\"stl_1\"]", "\"names\": [\"stl_2\"]", "data/rows.jsonl line 1: its basis"),
        ("data/rows.jsonl", "\"dues\": [{", "\"due\": [{", "data/rows.jsonl line 1: its values of ours cannot be read"),
        ("data/report.json", "\"BALANCE_MISMATCH\": 2", "\"BALANCE_MISMATCH\": 1", "data/report.json: counts"),
        ("data/ledger.jsonl", "\"amount\": \"10.00\"", "\"amount\": \"11.00\"", "data/ledger.jsonl line 1: pays 11"),
    ] {
        let mut payload = payload.clone();
        let (_, bytes) = payload.iter_mut().find(|it| it.0 == file).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{file} has no {from}: {text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
        let (_, findings) = verified(&signed(&payload, &key()), Some(&key().public()));
        assert!(findings.iter().any(|it| it.starts_with(place)), "{from} -> {to}: {findings:#?}");
    }
    app.finish().await;
}

/// The texts that mention the erased opening are nowhere in the bundle; what is left verifies.
#[tokio::test]
async fn after_an_erasure_the_bundle_of_a_bank_statement_verifies() {
    let app = TestApp::start().await;
    send(&app, CHARGES, charges(&[("stl_9", "300.00")]).text()).await;
    let opening = completed(&app, IBAN).await;
    let entries = [entry("b1", "300.00", &format!("stl_9 for {IBAN}")), entry("b2", "1.00", "Other")];
    let statement = Statement { account: "BE71096123456769", ..Statement::numbered(1, (0, -30_100), &entries) };
    let report = send(&app, BANK, Message::statements(&[statement]).text()).await;
    let id = report["id"].as_str().unwrap();
    fits(&export(&app, id).await);
    let erase = format!("/v1/account-openings/{}/erase", opening["id"].as_str().unwrap());
    assert_eq!(app.post(&erase, &serde_json::json!({"reason": "the customer asked"})).await.0, 202);
    let bundle = export(&app, id).await;
    let summary = fits(&bundle);
    assert_eq!((summary.rows, summary.redacted), (1, 1));
    assert!(files(&bundle).iter().all(|(_, it)| !String::from_utf8_lossy(it).contains(IBAN)));
    app.finish().await;
}

/// Only the ids of the opening are left of the customer: entries with these are erased as they are read, and still pay.
#[tokio::test]
async fn entries_that_are_read_after_an_erasure_are_erased_at_once() {
    let app = TestApp::start().await;
    send(&app, CHARGES, charges(&[("stl_9", "300.00")]).text()).await;
    let opening = completed(&app, IBAN).await;
    let (id, tracking_id) = (opening["id"].as_str().unwrap(), opening["provider_reference"].as_str().unwrap());
    let erase = format!("/v1/account-openings/{id}/erase");
    assert_eq!(app.post(&erase, &serde_json::json!({"reason": "the customer asked"})).await.0, 202);
    let bare = id.replace('-', "").to_uppercase();
    let entries = [
        entry("b1", "300.00", &format!("stl_9 for {tracking_id}")),
        entry("b2", "1.00", &format!("Fee of ANNA {bare}")),
        entry("b3", "2.00", "Rent of a room"),
    ];
    let statement = Message::statements(&[Statement::numbered(1, (0, -30_300), &entries)]);
    let report = send(&app, BANK, statement.text()).await;
    assert_eq!(report["counts"], serde_json::json!({"MATCHED": 1, "UNRELATED": 2}), "{report}");
    let bundle = export(&app, report["id"].as_str().unwrap()).await;
    let summary = fits(&bundle);
    assert_eq!((summary.rows, summary.redacted), (1, 2));
    let all: String = files(&bundle).iter().map(|(_, it)| String::from_utf8_lossy(it).into_owned()).collect();
    assert!(all.contains("Rent of a room"));
    for value in [tracking_id, &bare, "ANNA"] {
        assert!(statement.text().contains(value) && !all.contains(value), "{value}");
    }
    let words: i64 = sqlx::query_scalar("select count(*) from bank_words where word in ($1, $2)")
        .bind(tracking_id)
        .bind(&bare)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(words, 0);
    app.finish().await;
}

/// A version that adds up does not count where a newer one, in another file, does not: that is no forgery.
#[tokio::test]
async fn an_older_version_of_a_statement_that_does_not_add_up_verifies() {
    let app = TestApp::start().await;
    send(&app, CHARGES, charges(&[("stl_1", "10.00")]).text()).await;
    let newer = Message::statements(&[Statement::numbered(1, (0, -1_133), &[entry("b1", "10.00", "stl_1")])]);
    send(&app, BANK, newer.made("2026-01-06T18:00:00Z").text()).await;
    let older = Message::statements(&[Statement::numbered(1, (0, -1_000), &[entry("b2", "10.00", "stl_1")])]);
    let report = send(&app, BANK, older.text()).await;
    assert_eq!(report["counts"], serde_json::json!({"BALANCE_MISMATCH": 1}), "{report}");
    let bundle = export(&app, report["id"].as_str().unwrap()).await;
    fits(&bundle);
    // Said of the file itself it would be wrong.
    let mut payload: Vec<(String, Vec<u8>)> =
        files(&bundle).into_iter().filter(|it| it.0.starts_with("data/")).collect();
    let (_, rows) = payload.iter_mut().find(|it| it.0 == "data/rows.jsonl").unwrap();
    let text = String::from_utf8(rows.clone()).unwrap();
    assert!(text.contains("its_newest_version_does_not_count"), "{text}");
    *rows = text.replace("its_newest_version_does_not_count", "its_statement_does_not_count").into_bytes();
    let (_, findings) = verified(&signed(&payload, &key()), Some(&key().public()));
    assert!(findings.iter().any(|it| it.contains("its statement adds up")), "{findings:#?}");
    app.finish().await;
}
