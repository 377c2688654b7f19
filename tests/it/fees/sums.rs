//! P31: the balances are those of the lines in every snapshot, and are known without reading the lines.

use std::cell::Cell;
use std::collections::BTreeSet;

use account_opening::db::fee_ledger::{self, Balance, NewAccrual, NewLine};
use account_opening::domain::OpeningId;
use account_opening::domain::fee::{Account, Fee};
use futures::future::join_all;
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::order::Dice;
use crate::counts::read;
use crate::support::{TestApp, eventually};

const CURRENCIES: [&str; 2] = ["EUR", "SEK"];
const PROVIDERS: [&str; 2] = ["nexusbank", "solaris"];

fn amount(dice: &mut Dice) -> Decimal {
    Decimal::new(1 + i64::try_from(dice.below(100_000)).unwrap(), 2)
}

fn expected_fee(app: &TestApp, dice: &mut Dice) -> NewAccrual<'static> {
    let (without_tax, currency) = (amount(dice), CURRENCIES[dice.below(2)].to_owned());
    let fee = Fee { code: "application".to_owned(), without_tax, tax: Decimal::ZERO, currency };
    let opening = OpeningId(app.state.shell.ids.next());
    NewAccrual { id: app.state.shell.ids.next(), at: app.now(), opening, provider: PROVIDERS[dice.below(2)], fee }
}

fn charge(app: &TestApp, dice: &mut Dice) -> NewLine {
    let id = app.state.shell.ids.next();
    let accounts = [(Account::Suspense, Account::Charged), (Account::Charged, Account::Suspense)];
    let (debit, credit) = accounts[dice.below(2)];
    NewLine {
        id,
        at: app.now(),
        cause: format!("test:{id}"),
        debit,
        credit,
        amount: amount(dice),
        tax: Decimal::ZERO,
        currency: CURRENCIES[dice.below(2)].to_owned(),
        provider: PROVIDERS[dice.below(2)].to_owned(),
        opening_id: None,
        code: None,
        reported: None,
        settles: None,
        pays: None,
        reverses: None,
    }
}

/// Writes lines in transactions that end in a commit, a rollback, or the death of their session.
async fn write(app: &TestApp, mut dice: Dice) {
    for _ in 0..40 {
        let mut connection = app.context.cell.pool.acquire().await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let fees: Vec<_> = (0..dice.below(5)).map(|_| expected_fee(app, &mut dice)).collect();
        fee_ledger::accrue(&mut transaction, "list", &fees).await.unwrap();
        let lines: Vec<_> = (0..dice.below(4)).map(|_| charge(app, &mut dice)).collect();
        fee_ledger::append(&mut transaction, &lines).await.unwrap();
        match dice.below(4) {
            0 => transaction.rollback().await.unwrap(),
            1 => assert!(transaction.execute("select pg_terminate_backend(pg_backend_pid())").await.is_err()),
            _ => transaction.commit().await.unwrap(),
        }
    }
}

/// Compares the balances with the lines in one snapshot; returns them.
async fn compared(app: &TestApp) -> Vec<Balance> {
    let mut connection = app.context.cell.pool.acquire().await.unwrap();
    let mut snapshot = connection.begin_with("begin isolation level repeatable read read only").await.unwrap();
    let balances = fee_ledger::balances(&mut snapshot).await.unwrap();
    let of_lines: Vec<(String, String, String, Decimal)> = sqlx::query_as(
        "select provider, account, currency, sum(amount)
           from (select provider, credit as account, currency, amount from fee_ledger
                  union all select provider, debit, currency, -amount from fee_ledger) as sides
          group by provider, account, currency order by provider, account, currency",
    )
    .fetch_all(&mut *snapshot)
    .await
    .unwrap();
    let of_sums: Vec<_> =
        balances.iter().cloned().map(|it| (it.provider, it.account, it.currency, it.balance)).collect();
    assert_eq!(of_sums, of_lines, "P31");
    balances
}

async fn add_up(app: &TestApp, limit: i64) -> bool {
    let mut connection = app.context.cell.pool.acquire().await.unwrap();
    fee_ledger::add_up(&mut connection, limit).await.unwrap().more
}

#[tokio::test]
async fn balances_are_those_of_the_lines_while_lines_are_written_undone_and_added_up() {
    let app = TestApp::start().await;
    let (done, mut seen) = (Cell::new(false), BTreeSet::new());
    let adding = async || {
        while !done.get() {
            add_up(&app, 7).await;
        }
    };
    let reading = async {
        while !done.get() {
            seen.insert(format!("{:?}", compared(&app).await));
        }
    };
    let writing = async {
        join_all((1..=3).map(|seed| write(&app, Dice(seed)))).await;
        done.set(true);
    };
    tokio::join!(writing, adding(), adding(), reading);
    assert!(seen.len() > 10, "the balances were compared while they changed: {}", seen.len());
    let balances = compared(&app).await;
    while add_up(&app, 100).await {}
    assert_eq!(compared(&app).await, balances);
    // Per provider and currency: of expected fees, and both ways between suspense and charged.
    let sums: i64 = sqlx::query_scalar("select count(*) from fee_sums").fetch_one(&app.pool).await.unwrap();
    assert_eq!((sums, balances.len()), (12, 16));

    // Lines that come or go past the triggers are in the sums after a call of the owner's.
    let mut connection = app.pool.acquire().await.unwrap();
    let refused = sqlx::query("select sum_fees()").execute(&app.context.cell.pool).await.unwrap_err();
    assert_eq!(refused.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("42501"));
    let gone = "set session_replication_role = replica; delete from expected_fees; delete from fee_bookings;
                set session_replication_role = origin; select sum_fees()";
    connection.execute(sqlx::raw_sql(gone)).await.unwrap();
    assert!(fee_ledger::balances(&mut connection).await.unwrap().iter().all(|it| it.balance.is_zero()));
    drop(connection);
    app.finish().await;
}

/// The second call waits for the commit of the first, and finds nothing to correct.
#[tokio::test]
async fn two_owners_at_once_correct_the_sums_one_time() {
    let app = TestApp::start().await;
    let mut first = app.pool.begin().await.unwrap();
    let unsummed = "set local session_replication_role = replica;
                    insert into expected_fees (id, at, opening_id, code, amount, currency, provider, price_list)
                    values (gen_random_uuid(), now(), gen_random_uuid(), 'x', 5.00, 'EUR', 'nexusbank', '');";
    first.execute(sqlx::raw_sql(unsummed)).await.unwrap();
    first.commit().await.unwrap();

    let mut first = app.pool.begin().await.unwrap();
    first.execute("select sum_fees()").await.unwrap();
    let mut second = app.pool.acquire().await.unwrap();
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *second).await.unwrap();
    let correcting = tokio::spawn(async move { second.execute("select sum_fees()").await.map(drop) });
    eventually("the second call waits", async || {
        let waits = "select exists (select from pg_locks where pid = $1 and not granted)";
        let waits: bool = sqlx::query_scalar(waits).bind(backend).fetch_one(&app.pool).await.unwrap();
        (waits || correcting.is_finished()).then_some(())
    })
    .await;
    first.commit().await.unwrap();
    correcting.await.unwrap().unwrap();
    let balances = compared(&app).await;
    assert_eq!(balances.len(), 2, "{balances:?}");
    // No step owes it.
    let gone = "set session_replication_role = replica; delete from expected_fees; select sum_fees()";
    app.pool.acquire().await.unwrap().detach().execute(sqlx::raw_sql(gone)).await.unwrap();
    app.finish().await;
}

/// Appends 500 expected fees in each of so many statements.
async fn fill(connection: &mut PgConnection, statements: usize) {
    let fees = "insert into expected_fees (id, at, opening_id, code, amount, currency, provider, price_list)
                select gen_random_uuid(), now(), gen_random_uuid(), 'x', 0.01, 'EUR', 'nexusbank', '' from generate_series(1, 500);";
    connection.execute(sqlx::raw_sql(AssertSqlSafe(fees.repeat(statements)))).await.unwrap();
}

#[tokio::test]
async fn balances_are_known_without_reading_a_line() {
    let app = TestApp::start().await;
    let mut transaction = app.pool.begin().await.unwrap();
    fill(&mut transaction, 40).await;
    let balances = async |connection: &mut PgConnection| {
        let before = [read(connection, "expected_fees").await, read(connection, "fee_sums").await];
        let balances = fee_ledger::balances(connection).await.unwrap();
        let balances: Vec<String> = balances.iter().map(|it| format!("{} {}", it.account, it.balance)).collect();
        assert_eq!(balances, ["cost -200.00", "expected 200.00"]);
        assert_eq!(read(connection, "expected_fees").await, before[0]);
        read(connection, "fee_sums").await - before[1]
    };
    // Once for each side: a row per statement, then one for all.
    assert_eq!(balances(&mut transaction).await, 2 * 40);
    assert!(!fee_ledger::add_up(&mut transaction, 1_000).await.unwrap().more);
    assert_eq!(balances(&mut transaction).await, 2);
    // A sum of one row is left as it is.
    assert_eq!(fee_ledger::add_up(&mut transaction, 1_000).await.unwrap().rows, 0);
    transaction.rollback().await.unwrap();
    app.finish().await;
}
