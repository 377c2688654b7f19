//! Bank statements: what has an effect, once, and what an erasure leaves of them.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::bank::{BANK, Message, Statement, charged, entry, paid, send, statement};
use super::evidence::{export, fits};
use super::{mismatches, upload};
use crate::support::TestApp;

/// P30: a dry run and a held file pay nothing and decide no statement; a released file does, a discarded one never.
#[tokio::test]
async fn a_dry_run_and_a_held_file_have_no_effect() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    let mut entries = vec![entry("b0", "300.00", "stl_9")];
    entries.extend((1..=21).map(|n| entry(&format!("b{n}"), "1.00", "stl_9 again")));
    let file = Message::statements(&[Statement::numbered(1, (0, -32_100), &entries)]).text();
    let dry = send(&app, &format!("{BANK}&dry_run=true"), file.clone()).await;
    assert_eq!((&dry["state"], &dry["counts"]), (&json!("finished"), &json!({"MATCHED": 1, "BANK_MISMATCH": 21})));
    assert_eq!(paid(&app).await, "0");
    let held = send(&app, BANK, file.clone()).await;
    assert_eq!((&held["state"], &held["counts"]), (&json!("held"), &dry["counts"]));
    app.pass(TimeDelta::days(1));
    app.settle().await;
    assert_eq!(paid(&app).await, "0");
    assert!(app.items("/v1/mismatches?class=BANK_MISMATCH").await.is_empty());
    let act = async |id: &Value, what: &str| {
        let path = format!("/v1/reports/{}/{what}", id.as_str().unwrap());
        assert_eq!(app.post(&path, &json!({"reason": "it is the right file"})).await.0, 202);
        app.settle().await;
    };
    act(&held["id"], "discard").await;
    assert_eq!(paid(&app).await, "0");
    let again = send(&app, BANK, file).await;
    act(&again["id"], "release").await;
    assert_eq!(paid(&app).await, "300.00");
    assert_eq!(app.items("/v1/mismatches?class=BANK_MISMATCH&state=case").await.len(), 21);
    app.finish().await;
}

#[tokio::test]
async fn the_entries_of_a_file_that_was_cut_off_count_and_its_sums_do_not() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    let entries = [entry("b1", "300.00", "stl_9"), entry("b2", "1.00", "Other")];
    let whole = Message::statements(&[Statement::numbered(1, (0, -30_100), &entries)]);
    let cut = whole.text();
    let cut = cut[..cut.rfind("<Ntry>").unwrap() + 10].to_owned();
    let report = send(&app, BANK, cut).await;
    assert_eq!((&report["complete"], &report["counts"]), (&json!(false), &json!({"MATCHED": 1})), "{report}");
    assert_eq!(paid(&app).await, "300.00");
    let report = send(&app, BANK, whole.text()).await;
    assert_eq!(report["counts"], json!({"REPEATED": 1, "UNRELATED": 1}));
    assert_eq!(paid(&app).await, "300.00");
    assert!(mismatches(&app).await.is_empty());
    app.finish().await;
}

/// P26: Postgres refuses a second payment of a settlement, whichever process books it.
#[tokio::test]
async fn postgres_refuses_a_second_payment() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    statement(&app, Statement::numbered(1, (0, -30_000), &[entry("b1", "300.00", "stl_9")])).await;
    let insert = |cause: &str, debit: &str, before: i32| {
        format!(
            "insert into fee_bookings
                    (id, at, cause, debit, credit, amount, currency, provider, settlement_id, settled_before)
             values (gen_random_uuid(), now(), '{cause}', '{debit}', 'paid', 300, 'EUR', 'nexusbank', 'stl_9', {before})"
        )
    };
    for (statement, code) in [
        (insert("payment:nexusbank:stl_9:EUR:0", "charged", 0), "23505"),
        (insert("payment:nexusbank:stl_9:EUR:1", "charged", 0), "23514"),
        // The payment before is not reversed.
        (insert("payment:nexusbank:stl_9:EUR:1", "charged", 1), "23000"),
        (insert("payment:nexusbank:stl_8:EUR:0", "charged", 0), "23514"),
        (insert("payment:nexusbank:stl_9:EUR:0", "suspense", 0), "23514"),
    ] {
        let error = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&app.pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some(code), "{statement}");
    }
    app.finish().await;
}

/// An erasure reaches what became no row: bad rows, and files that failed or were discarded.
#[tokio::test]
async fn an_erasure_reaches_bad_rows_and_files_that_were_not_read() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, "BE71096123456769").acknowledged().await;
    app.settle().await;
    let text = "Card of BE71 0961 2345 6769";
    let bad = entry("b1", "1.0e5", text);
    let statement = Statement::numbered(1, (0, -100), &[bad, entry("b2", "1.00", "Other")]);
    let message = Message::statements(&[statement]);
    let read = send(&app, BANK, message.text()).await;
    assert_eq!((&read["state"], &read["bad_rows"]), (&json!("finished"), &json!(1)), "{read}");
    let late = format!("{}<!DOCTYPE x></Stmt>", " ".repeat(70_000));
    let failed = upload(&app, BANK, message.text().replace("</Stmt>", &late)).await;
    app.settle().await;
    let iban = message.text().replace("1.0e5", "2.00");
    let discarded = upload(&app, BANK, iban).await;
    let discard = format!("/v1/reports/{}/discard", discarded.id());
    assert_eq!(app.post(&discard, &json!({"reason": "not ours"})).await.0, 202);
    app.settle().await;
    let raw = async |id: &str| {
        let path = format!("/v1/reports/{id}/raw");
        app.request(reqwest::Method::GET, &path).send().await.unwrap().text().await.unwrap()
    };
    let ids = [read["id"].as_str().unwrap().to_owned(), failed.id(), discarded.id()];
    for id in &ids {
        assert!(raw(id).await.contains("6769"), "the canary sings: {}", app.get(&format!("/v1/reports/{id}")).await);
    }
    let erased = app.post(&format!("/v1/account-openings/{id}/erase"), &json!({"reason": "asked for"})).await;
    assert!(erased.0 < 300, "{erased:?}");
    for id in &ids {
        let raw = raw(id).await;
        assert!(!raw.contains("6769") && raw.contains("</Ustrd>"), "{raw}");
        fits(&export(&app, id).await);
    }
    assert!(raw(&ids[0]).await.contains("Other"), "no more of it than the bad row");
    app.finish().await;
}

/// An erasure reaches the texts of bank entries, in rows and bytes; what they paid stays paid.
#[tokio::test]
async fn an_erasure_reaches_the_texts_of_entries_and_leaves_payments() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, "BE71096123456769").acknowledged().await;
    app.settle().await;
    let entries = [
        entry("b1", "300.00", "stl_9, also for BE71 0961 2345 6769"),
        entry("b2", "1.00", "Card of BE71096123456769"),
        entry("b3", "1.00", "Other"),
    ];
    let report = statement(&app, Statement::numbered(1, (0, -30_200), &entries)).await;
    let erased = app.post(&format!("/v1/account-openings/{id}/erase"), &json!({"reason": "asked for"})).await;
    assert!(erased.0 < 300, "{erased:?}");
    app.settle().await;
    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    let rows = app.items(&format!("{path}/rows")).await;
    assert_eq!(rows.iter().map(|it| it["redacted"] == true).collect::<Vec<_>>(), [true, true, false], "{rows:?}");
    let raw = app.request(reqwest::Method::GET, &format!("{path}/raw")).send().await.unwrap().text().await.unwrap();
    assert!(!raw.contains("6769") && raw.contains("Other") && raw.contains("</Ustrd>"), "{raw}");
    let stored: Vec<(String,)> =
        sqlx::query_as("select theirs::text from report_rows").fetch_all(&app.pool).await.unwrap();
    assert!(stored.iter().all(|it| !it.0.contains("6769")), "{stored:?}");
    // The next statement has the settlement judged again.
    let again = Message::statements(&[Statement::numbered(2, (-30_200, -30_300), &[entry("b4", "1.00", "stl_9 fee")])]);
    send(&app, BANK, again.text()).await;
    assert_eq!(paid(&app).await, "300.00");
    app.finish().await;
}
