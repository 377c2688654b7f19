//! Refusals of the database itself, to SQL written by hand.

use account_opening::db::migrations::{self, Version};
use account_opening::db::{begin_repeatable_slice, begin_slice};
use account_opening::domain::StateName;
use sqlx::{Executor, PgConnection};

use crate::support::TestApp;

/// Runs statements in one transaction; the error's code, or none when it was committed.
async fn refused(connection: &mut PgConnection, statements: &str) -> Option<String> {
    let sql = format!("begin; {statements}; commit");
    let result = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await;
    let code = result.err().map(|error| match error {
        sqlx::Error::Database(error) => error.code().unwrap_or_default().into_owned(),
        other => panic!("{other}"),
    });
    let _ = connection.execute("rollback").await;
    code
}

/// P7: the table of steps in SQL is the table in Rust.
#[tokio::test]
async fn the_database_and_the_domain_hold_the_same_table_of_steps() {
    let app = TestApp::start().await;
    for from in StateName::ALL {
        for to in StateName::ALL {
            let legal: bool = sqlx::query_scalar("select opening_step_is_legal($1, $2)")
                .bind(from.as_str())
                .bind(to.as_str())
                .fetch_one(&app.pool)
                .await
                .unwrap();
            assert_eq!(legal, from.may_become().contains(to), "{from} -> {to}");
        }
    }
    app.finish().await;
}

/// P7: no transition outside the table, nor an anchor that its history does not lead to.
#[tokio::test]
async fn sql_by_hand_cannot_move_an_opening_past_its_history() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let mut connection = app.pool.acquire().await.unwrap();
    let anchor = format!("update account_openings set state = 'failed', reason = 'x', version = 4 where id = '{id}'");
    let history = |version: i64, from: &str, to: &str| {
        format!(
            "insert into opening_history values ('{id}', {version}, '{from}', '{to}', 'x', 'operator', null, now(), \
             null, sha256('x'))"
        )
    };
    let no_opening =
        "insert into opening_history values (gen_random_uuid(), 1, null, 'creating_profile', 'x', 'api', null, now(),
                      null, sha256('x'))";
    let integrity = Some("23000".to_owned());
    let cases = [
        ("the anchor alone", anchor.clone()),
        ("the history alone", history(4, "awaiting_provider", "failed")),
        ("a step that is not in the table", history(4, "awaiting_provider", "completed")),
        ("a step from a state that it is not in", history(4, "requesting_account", "awaiting_provider")),
        ("a gap in the versions", history(5, "awaiting_provider", "failed")),
        ("a step of an opening that is not there", no_opening.to_owned()),
        ("both, with another head", format!("{anchor}; {}", history(4, "awaiting_provider", "failed"))),
        ("a head without a step", format!("update account_openings set head_hash = sha256('y') where id = '{id}'")),
    ];
    for (what, statements) in cases {
        assert_eq!(refused(&mut connection, &statements).await, integrity, "{what}");
    }
    drop(connection);
    app.finish().await;
}

/// P22: history is append-only, TRUNCATE included.
#[tokio::test]
async fn history_can_be_neither_edited_nor_deleted_nor_truncated() {
    let app = TestApp::start().await;
    app.open().waiting().await;
    let mut connection = app.pool.acquire().await.unwrap();
    for statement in [
        "update opening_history set detail = 'other'",
        "delete from opening_history",
        "truncate opening_history",
        "truncate account_openings cascade",
        "delete from account_openings",
    ] {
        assert_eq!(refused(&mut connection, statement).await.as_deref(), Some("42501"), "{statement}");
    }
    drop(connection);
    app.finish().await;
}

/// P9: triggers keep the table of IBANs equal to those of the openings, also under SQL written by hand.
#[tokio::test]
async fn an_iban_belongs_to_one_opening() {
    let app = TestApp::start().await;
    let ((first, its), (second, others)) = (app.open().waiting().await, app.open().waiting().await);
    app.webhook().completed(&its, "BE71096123456769").acknowledged().await;
    app.webhook().completed(&others, "BE62510007547061").acknowledged().await;
    app.settle().await;
    let mut connection = app.pool.acquire().await.unwrap();
    let of = |from: &str, to: &str| {
        format!(
            "update account_openings set iban = (select iban from account_openings where id = '{from}') where id = '{to}'"
        )
    };
    assert_eq!(refused(&mut connection, &of(&first, &second)).await.as_deref(), Some("23505"));
    // An IBAN that an opening gave up is free.
    let swap = format!(
        "update account_openings a set iban = b.iban from account_openings b where b.id <> a.id and a.iban is not null;
         update account_openings set iban = 'BE68539007547034' where id = '{first}'"
    );
    assert_eq!(refused(&mut connection, &swap).await, None);
    drop(connection);
    app.finish().await;
}

#[tokio::test]
async fn a_state_without_its_data_is_impossible() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let mut connection = app.pool.acquire().await.unwrap();
    for change in [
        "iban = 'BE68539007547034', bic = 'NEXUBEBB'",
        "card_id = 'card_1'",
        "reason = 'because'",
        "provider_ref = null",
        "profile_id = null",
        "outcome_unknown_since = now()",
        "escalated_at = now()",
        "state = 'lost'",
    ] {
        let statement = format!("update account_openings set {change} where id = '{id}'");
        assert_eq!(refused(&mut connection, &statement).await.as_deref(), Some("23514"), "{change}");
    }
    drop(connection);
    app.finish().await;
}

/// A row that waits has a time at which it is due, and a row that does not wait has none: a queue cannot lose or keep one.
#[tokio::test]
async fn work_waits_exactly_while_it_has_a_time() {
    let app = TestApp::start().await;
    app.open().waiting().await;
    let mut connection = app.pool.acquire().await.unwrap();
    for statement in [
        "update inbox set due_at = now() where status = 'applied'",
        "update inbox set status = 'pending', settled_at = null where status = 'applied'",
        "update outbox set due_at = now() where status = 'delivered'",
        "update outbox set status = 'pending', delivered_at = null where status = 'delivered'",
        "update outbox set lease_token = gen_random_uuid() where status = 'delivered'",
    ] {
        assert_eq!(refused(&mut connection, statement).await.as_deref(), Some("23514"), "{statement}");
    }
    drop(connection);
    app.finish().await;
}

/// P23: a service runs on a newer schema, and refuses an older one.
#[tokio::test]
async fn the_schema_is_compared_by_its_migrations() {
    let app = TestApp::start().await;
    let mut connection = app.pool.acquire().await.unwrap();
    assert_eq!(migrations::version(&mut connection).await.unwrap(), Version::Usable);
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'of a newer version', true, 'x', 1)";
    connection.execute(newer).await.unwrap();
    assert_eq!(migrations::version(&mut connection).await.unwrap(), Version::Usable);
    let schema: String = sqlx::query_scalar("select current_schema()").fetch_one(&mut *connection).await.unwrap();
    migrations::migrate(&mut connection, &schema).await.unwrap();
    connection.execute("delete from _sqlx_migrations where version = 9999").await.unwrap();
    let last = "select max(version) from _sqlx_migrations";
    let needs: i64 = sqlx::query_scalar(last).fetch_one(&mut *connection).await.unwrap();
    sqlx::query("delete from _sqlx_migrations where version = $1").bind(needs).execute(&mut *connection).await.unwrap();
    let has: i64 = sqlx::query_scalar(last).fetch_one(&mut *connection).await.unwrap();
    let version = migrations::version(&mut connection).await.unwrap();
    assert_eq!(version, Version::Older { has, needs });
    drop(connection);
    app.finish().await;
}

/// How many rows the session's plan of a prepared statement expects.
async fn expected_rows(connection: &mut PgConnection) -> u64 {
    let plan: serde_json::Value =
        sqlx::query_scalar("explain (format json) execute everything").fetch_one(connection).await.unwrap();
    plan[0]["Plan"]["Plan Rows"].as_u64().unwrap()
}

/// Sessions keep their plans. One that was made while a table was nearly empty may read that table once per row of a slice.
#[tokio::test]
async fn a_slice_is_planned_by_the_tables_as_they_are_and_not_by_an_earlier_plan() {
    let app = TestApp::start().await;
    for is_repeatable in [false, true] {
        let mut connection = app.pool.acquire().await.unwrap();
        // Each in a transaction of its own: a plan does not outlive the one that makes its table.
        for statement in [
            "create temporary table filled (n int)",
            "prepare everything as select n from filled",
            "execute everything",
            "insert into filled select generate_series(1, 100000)",
        ] {
            connection.execute(sqlx::raw_sql(statement)).await.unwrap();
        }
        let kept = expected_rows(&mut connection).await;
        assert!(kept < 10_000, "the session keeps the plan of an empty table: {kept}");
        let mut slice = if is_repeatable {
            begin_repeatable_slice(&mut connection).await.unwrap()
        } else {
            begin_slice(&mut connection).await.unwrap()
        };
        let planned = expected_rows(&mut slice).await;
        assert!(planned > 50_000, "{planned}");
        let waits: String = sqlx::query_scalar("show synchronous_commit").fetch_one(&mut *slice).await.unwrap();
        assert_eq!(waits == "off", is_repeatable, "{waits}");
        slice.rollback().await.unwrap();
        connection.execute(sqlx::raw_sql("deallocate everything; drop table filled")).await.unwrap();
    }
    app.finish().await;
}
