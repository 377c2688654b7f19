//! The fee ledger: what steps owe (P27), and that no fee is booked twice (P26).
//!
//! That every priced step has exactly its fees is checked at the end of every test with a price list (`support/invariants.rs`).

mod order;
mod price_list;
mod sums;

use account_opening::clock::Time;
use account_opening::db::fee_ledger::{NewAccrual, accrue};
use account_opening::domain::OpeningId;
use account_opening::domain::fee::Fee;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};

use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";

/// `debit → credit amount currency code`, oldest first.
async fn ledger(app: &TestApp, query: &str) -> Vec<String> {
    let items = app.items(&format!("/v1/fee-ledger{query}")).await;
    let word = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let line = |it: &Value| {
        let [debit, credit, amount, currency, code] =
            ["debit", "credit", "amount", "currency", "code"].map(|name| word(it, name));
        format!("{debit} → {credit} {amount} {currency} {code}")
    };
    items.iter().rev().map(line).collect()
}

/// `account currency balance`.
async fn balances(app: &TestApp) -> Vec<String> {
    let items = app.get("/v1/fee-ledger/balances").await["items"].as_array().unwrap().clone();
    items.iter().map(|it| format!("{} {} {}", it["account"], it["currency"], it["balance"]).replace('"', "")).collect()
}

#[tokio::test]
async fn each_step_of_an_opening_books_the_fee_that_it_owes() {
    let app = TestApp::with().prices().start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let of_opening = format!("?opening_id={id}");
    assert_eq!(ledger(&app, &of_opening).await, ["cost → expected 0.50 EUR application"]);
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    let lines = [
        "cost → expected 0.50 EUR application",
        "cost → expected 6.05 EUR account_opened",
        "cost → expected 1.51 EUR card_order",
    ];
    assert_eq!(ledger(&app, &of_opening).await, lines);
    assert_eq!(ledger(&app, "?account=expected").await, lines);
    assert_eq!(ledger(&app, "?account=charged").await, [] as [&str; 0]);
    assert_eq!(balances(&app).await, ["cost EUR -8.06", "expected EUR 8.06"]);
    let item = app.get(&format!("/v1/fee-ledger{of_opening}&limit=1")).await["items"][0].clone();
    let history = app.items(&format!("/v1/account-openings/{id}/history")).await;
    let step = history.iter().find(|it| it["to"] == "issuing_card").unwrap();
    assert_eq!(item["cause"], format!("accrual:{id}:card_order"));
    assert_eq!((&item["provider"], &item["at"]), (&json!("nexusbank"), &step["at"]));
    for empty in ["report_id", "line", "settles", "reverses"] {
        assert_eq!(item[empty], Value::Null, "{empty}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_refusal_of_the_provider_costs_and_giving_up_does_not() {
    let app = TestApp::with().prices().start().await;
    let (_, tracking_id) = app.open().market("SE").waiting().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    let (given_up, _) = app.open().waiting().await;
    let resolve = format!("/v1/account-openings/{given_up}/resolve");
    let body = json!({"outcome": "failed", "reason": "the customer left", "evidence": "call of today"});
    assert_eq!(app.post(&resolve, &body).await.0, 202);
    app.settle().await;
    assert_eq!(app.opening(&given_up).await["state"], "failed");
    assert_eq!(balances(&app).await, ["cost EUR -2.50", "expected EUR 2.50"], "two applications and a refusal");
    app.finish().await;
}

/// Two steps in one commit owe the fees of both; copies of the answer owe nothing more.
#[tokio::test]
async fn an_answer_that_comes_twice_and_by_two_replicas_owes_once() {
    let app = TestApp::with().prices().start().await;
    let (_, tracking_id) = app.open().market("SE").waiting().await;
    let second = app.replica().await;
    let body = app.webhook().completed(&tracking_id, "SE4550000000058398257466");
    body.acknowledged().await;
    app.webhook().completed(&tracking_id, "SE4550000000058398257466").to(&second).acknowledged().await;
    app.settle().await;
    let lines = [
        "cost → expected 0.50 EUR application",
        "cost → expected 75.00 SEK account_opened",
        "cost → expected 1.51 EUR card_order",
    ];
    assert_eq!(ledger(&app, "").await, lines);
    app.finish().await;
}

#[tokio::test]
async fn without_a_price_list_nothing_is_booked() {
    let app = TestApp::start().await;
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.get("/v1/fee-ledger/balances").await, json!({"items": []}));
    app.finish().await;
}

/// The insert of a charge that says that the one before it was reversed.
fn again(charge: &str, settles: &str) -> String {
    let charge = charge.replace("settles,", "settles, settled_before,");
    charge.replace(&format!("{settles}, null"), &format!("{settles}, 1, null"))
}

/// The insert of an expected fee.
fn owed(opening: &str, code: &str, amount: &str) -> String {
    format!(
        "insert into expected_fees (id, at, opening_id, code, amount, currency, provider, price_list)
         values (gen_random_uuid(), now(), '{opening}', '{code}', {amount}, 'EUR', 'nexusbank', '')"
    )
}

/// The code with which Postgres refuses a statement.
async fn refused(connection: &mut PgConnection, statement: &str) -> String {
    let error = connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap_err();
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

async fn refuses_every_change(connection: &mut PgConnection) {
    for (table, column) in [("expected_fees", "amount"), ("fee_bookings", "amount"), ("price_lists", "content")] {
        for verb in ["truncate", "delete from", "update"] {
            let change = if verb == "update" {
                format!("update {table} set {column} = null")
            } else {
                format!("{verb} {table}")
            };
            assert_eq!(refused(connection, &change).await, "42501", "{change}");
        }
    }
}

/// A fee that the opening owes already, at another price.
fn again_for(opening: &str) -> NewAccrual<'static> {
    let fee = Fee {
        code: "application".to_owned(),
        without_tax: Decimal::ONE,
        tax: Decimal::ZERO,
        currency: "EUR".to_owned(),
    };
    let opening = OpeningId(opening.parse().unwrap());
    NewAccrual { id: uuid::Uuid::max(), at: Time::UNIX_EPOCH, opening, provider: "nexusbank", fee }
}

/// P26: Postgres refuses a second line of a cause, an unbalanced or negative one, and every change.
#[tokio::test]
async fn the_database_refuses_a_second_line_of_a_cause_and_every_change() {
    let app = TestApp::with().prices().start().await;
    let (id, _) = app.open().waiting().await;
    let accrual: uuid::Uuid = sqlx::query_scalar("select id from expected_fees").fetch_one(&app.pool).await.unwrap();
    let line = |cause: &str, values: &str| {
        format!(
            "insert into fee_bookings (id, at, cause, debit, credit, amount, currency, provider, opening_id, code, settles,
                                     reverses)
             values (gen_random_uuid(), now(), '{cause}', {values})"
        )
    };
    let charge = |cause: &str, settles: &str| {
        line(cause, &format!("'expected', 'charged', 0.5, 'EUR', 'nexusbank', '{id}', 'application', {settles}, null"))
    };
    let reversal = |amount: &str| {
        let cause = format!("reversal:{accrual}");
        line(
            &cause,
            &format!("'expected', 'cost', {amount}, 'EUR', 'nexusbank', '{id}', 'application', null, '{accrual}'"),
        )
    };
    let settles = format!("'{accrual}'");
    let mut connection = app.pool.acquire().await.unwrap();
    accrue(&mut connection, "another list", &[again_for(&id)]).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(charge("charge:1", &settles))).await.unwrap();
    for (statement, code) in [
        (charge("charge:1", "null"), "23505"),
        (charge("charge:2", &settles), "23505"),
        (line("x", "'expected', 'expected', 1, 'EUR', 'nexusbank', null, null, null, null"), "23514"),
        (line("x", "'expected', 'charged', 0, 'EUR', 'nexusbank', null, null, null, null"), "23514"),
        (line("x", "'expected', 'charged', -1, 'EUR', 'nexusbank', null, null, null, null"), "23514"),
        (line("x", "'expected', 'charged', 1.0000001, 'EUR', 'nexusbank', null, null, null, null"), "23514"),
        (line("x", "'expected', 'bank', 1, 'EUR', 'nexusbank', null, null, null, null"), "23514"),
        (line("accrual:x:y", "'cost', 'expected', 1, 'EUR', 'nexusbank', null, null, null, null"), "23514"),
        (owed(&id, "application", "0.5"), "23505"),
        (owed(&id, "x", "0"), "23514"),
        (owed(&id, "x", "1.0000001"), "23514"),
        (reversal("0.51"), "23000"),
        (again(&charge("charge:2", &settles), &settles), "23000"),
    ] {
        assert_eq!(refused(&mut connection, &statement).await, code, "{statement}");
    }
    refuses_every_change(&mut connection).await;
    connection.execute(sqlx::AssertSqlSafe(reversal("0.5"))).await.unwrap();
    assert_eq!(refused(&mut connection, &reversal("0.5")).await, "23505");
    assert_eq!(balances(&app).await, ["charged EUR 0.50", "cost EUR 0.00", "expected EUR -0.50"]);
    // The charge stands in no file.
    let charge: uuid::Uuid =
        sqlx::query_scalar("select id from fee_bookings where cause = 'charge:1'").fetch_one(&app.pool).await.unwrap();
    let undo = line(
        &format!("reversal:{charge}"),
        &format!("'charged', 'expected', 0.5, 'EUR', 'nexusbank', '{id}', 'application', null, '{charge}'"),
    );
    connection.execute(sqlx::AssertSqlSafe(undo)).await.unwrap();
    drop(connection);
    app.finish().await;
}
