//! The evidence of charges: what they were judged by, what is booked for them, and by which prices.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{IBAN, OTHER_IBAN, completed, export, files, fits, key, lines, signed, upload, verified};
use crate::support::TestApp;

const CHARGES: &str = "provider=nexusbank&kind=charges";
const COLUMNS: &str = "line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,\
                       original_currency,fx_rate,settlement_id,occurred_at,booked_on,description";

/// A charges file of January; each row up to the settlement.
fn file(as_of: &str, rows: &[String]) -> String {
    let mut sums: BTreeMap<&str, rust_decimal::Decimal> = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        if cells[1] != "settlement" {
            *sums.entry(cells[8]).or_default() += cells[6].parse::<rust_decimal::Decimal>().unwrap();
        }
    }
    let sums: Vec<String> = sums.iter().map(|(currency, sum)| format!("{currency}={sum}")).collect();
    let body: Vec<String> = rows.iter().map(|row| format!("{row},2026-01-01T09:30:00Z,2026-01-02,=Fee\n")).collect();
    let body = body.concat();
    let header = format!("HEADER,charges,nexusbank,1,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,{as_of}");
    format!("{header}\n{COLUMNS}\n{body}TRAILER,{},{}\n", rows.len(), sums.join(";"))
}

async fn uploaded(app: &TestApp, query: &str, text: String) -> String {
    let uploaded = upload(app, query, text).await;
    assert_eq!(uploaded.status, 202, "{}", uploaded.body);
    app.settle().await;
    uploaded.id()
}

/// Rows of many classes: agreeing, converted, off, doubled, refunded, adjusted, grouped, settled, of no opening.
fn rows(a: &Value, b: &Value) -> Vec<String> {
    let of = |opening: &Value| opening["provider_reference"].as_str().unwrap().to_owned();
    let (a, b) = (of(a), of(b));
    vec![
        format!("chg_1,charge,application,1,{a},,0.50,0.00,EUR,,,,stl_1"),
        format!("chg_2,charge,account_opened,1,{a},,6.05,1.05,EUR,,,,stl_1"),
        format!("chg_3,charge,card_order,1,{a},,16.61,2.90,SEK,1.51,EUR,11.0000,"),
        format!("chg_4,charge,account_opened,1,{b},,5.00,0.00,EUR,,,,"),
        format!("chg_5,charge,card_order,1,{b},,1.51,0.26,EUR,,,,"),
        format!("chg_6,charge,card_order,1,{b},,1.51,0.26,EUR,,,,"),
        format!("rfd_1,refund,application,1,{a},,-0.10,0.00,EUR,,,,"),
        "adj_1,adjustment,,1,,,-0.10,0.00,EUR,,,,".to_owned(),
        "grp_1,group,application_rejected,2,,,3.00,0.00,EUR,,,,".to_owned(),
        "what_1,surprise,,1,,,2.00,0.00,EUR,,,,".to_owned(),
        "chg_7,charge,account_opened,1,aor_stranger,,6.05,1.05,EUR,,,,".to_owned(),
        "stl_1,settlement,,2,,,6.55,1.05,EUR,,,,stl_1".to_owned(),
    ]
}

#[tokio::test]
async fn a_bundle_of_charges_is_classified_and_added_up_again() {
    let app = TestApp::with().prices().start().await;
    let (a, b) = (completed(&app, IBAN).await, completed(&app, OTHER_IBAN).await);
    let dry = uploaded(&app, &format!("{CHARGES}&dry_run=true"), file("2026-02-01T03:00:00Z", &rows(&a, &b))).await;
    fits(&export(&app, &dry).await);
    let id = uploaded(&app, CHARGES, file("2026-02-01T03:00:00Z", &rows(&a, &b))).await;
    let bundle = export(&app, &id).await;
    assert_eq!(fits(&bundle).rows, 12);
    let charged = lines(&bundle, "data/charge-lines.jsonl");
    assert_eq!(charged.len(), 12);
    let balance = |currency: &str| {
        let balances = lines(&bundle, "data/balances.jsonl");
        let it = balances.into_iter().find(|it| it["account"] == "charged" && it["currency"] == currency);
        it.unwrap()["balance"].clone()
    };
    assert_eq!((balance("EUR"), balance("SEK")), ("25.42".into(), "16.61".into()), "P31: the sums of the rows");
    let ledger = lines(&bundle, "data/ledger.jsonl");
    assert!(ledger.iter().any(|it| it["cause"].as_str().unwrap().starts_with("accrual:")), "{ledger:?}");
    let lists: Vec<String> = files(&bundle).into_iter().map(|it| it.0).filter(|it| it.contains("price-list")).collect();
    assert_eq!(lists.len(), 1);
    let table = files(&bundle).into_iter().find(|it| it.0 == "data/matches.csv").unwrap().1;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains(",'-0.10,") && table.contains(",'=Fee\r\n"), "{table}");
    app.finish().await;
}

#[tokio::test]
async fn lines_that_come_again_and_newer_versions_verify() {
    let app = TestApp::with().prices().start().await;
    let (a, b) = (completed(&app, IBAN).await, completed(&app, OTHER_IBAN).await);
    let first = uploaded(&app, CHARGES, file("2026-02-01T03:00:00Z", &rows(&a, &b))).await;
    let mut again = rows(&a, &b);
    again[3] = again[3].replace("5.00,0.00", "6.05,1.05");
    again.push(again[10].replace("chg_7", "chg_8"));
    again.push(again[12].clone());
    again.push(again[12].replace("6.05", "7.05").replace("chg_8", "chg_9"));
    again.push(again[14].replace("7.05", "8.05"));
    let second = uploaded(&app, CHARGES, file("2026-02-02T03:00:00Z", &again)).await;
    for id in [&first, &second] {
        fits(&export(&app, id).await);
    }
    let rows = lines(&export(&app, &second).await, "data/rows.jsonl");
    let classes: Vec<&str> = rows.iter().map(|it| it["class"].as_str().unwrap()).collect();
    assert_eq!(
        (classes[0], classes[3], &classes[13..]),
        ("REPEATED", "REVISED", &["REPEATED", "CONFLICTING_ROWS", "CONFLICTING_ROWS"][..])
    );
    app.finish().await;
}

#[tokio::test]
async fn a_sum_a_booking_or_a_price_that_was_edited_is_named() {
    let app = TestApp::with().prices().start().await;
    let (a, b) = (completed(&app, IBAN).await, completed(&app, OTHER_IBAN).await);
    let id = uploaded(&app, CHARGES, file("2026-02-01T03:00:00Z", &rows(&a, &b))).await;
    let bundle = export(&app, &id).await;
    let payload: Vec<(String, Vec<u8>)> = files(&bundle).into_iter().filter(|it| it.0.starts_with("data/")).collect();
    for (file, from, to, place) in [
        (
            "data/report.json",
            "\"amount\": \"25.42\"",
            "\"amount\": \"25.43\"",
            "data/report.json: says the sums 25.43 EUR",
        ),
        ("data/balances.jsonl", "\"balance\":\"25.42\"", "\"balance\":\"25.43\"", "data/balances.jsonl line"),
        ("data/ledger.jsonl", "\"amount\": \"6.05\"", "\"amount\": \"6.06\"", "data/charge-lines.jsonl line"),
        ("data/charge-lines.jsonl", "\"amount\": \"6.05\"", "\"amount\": \"6.06\"", "data/charge-lines.jsonl line"),
        ("data/rows.jsonl", "\"AMOUNT_MISMATCH\"", "\"MATCHED\"", "data/rows.jsonl line 4: is MATCHED"),
        ("data/rows.jsonl", "\"expected\": {\"at\"", "\"expected\": {\"ta\"", "data/rows.jsonl line"),
        ("data/price-list-", "5.00", "5.01", "data/price-list-"),
    ] {
        let mut payload = payload.clone();
        let (_, bytes) = payload.iter_mut().find(|it| it.0.starts_with(file)).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{file} has no {from}: {text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
        let (_, findings) = verified(&signed(&payload, &key()), Some(&key().public()));
        assert!(findings.iter().any(|it| it.starts_with(place)), "{from} -> {to}: {findings:#?}");
    }
    app.finish().await;
}
