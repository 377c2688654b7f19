//! A crash between any two steps loses nothing, two sweepers move nothing twice, and the database lets nothing go that is not in
//! its archive. (P1, P10)

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use account_opening::driver::tick;
use account_opening::faults::FaultPoint;
use account_opening::workers::sweeper::{Archived, Sweeper};
use chrono::TimeDelta;
use sqlx::AssertSqlSafe;

use super::{IBAN, MONTH, Where, completed, rows};
use crate::support::TestApp;

/// Every fact and every piece of work that stands whole somewhere, and how often.
async fn everything(app: &TestApp) -> Vec<(String, i64)> {
    sqlx::query_as(
        "select id || ' ' || md5(body) || ' ' || status, count(*) from (
             select id, body, status from inbox where archived_at is null
              union all select id, body, status from inbox_archive
              union all select id, convert_to(payload::text, 'utf8'), status from outbox
              union all select id, convert_to(payload::text, 'utf8'), status from outbox_archive) as facts_and_work
          group by 1 order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

/// Ticks once. None: one of the sweeps failed.
async fn sweep(app: &TestApp) -> Option<Archived> {
    tick(&Sweeper(app.context.clone())).await.ok().filter(|it| it.failed.is_empty()).map(|it| it.archived)
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_move_loses_nothing_and_doubles_nothing() {
    let mut app = TestApp::start().await;
    let mut seen = BTreeSet::new();
    for step in 0.. {
        let account = format!("5390{step:06}");
        let account = format!("{account}{:02}", account.parse::<u64>().unwrap() % 97);
        let check = 98 - format!("{account}111400").parse::<u128>().unwrap() % 97;
        completed(&app, &format!("msg_{step}"), &format!("BE{check:02}{account}")).await;
        let before = everything(&app).await;
        assert!(before.iter().all(|(_, times)| *times == 1), "{before:?}");
        app.pass(MONTH * 3);
        let left = Arc::new(AtomicUsize::new(step));
        let struck = Arc::new(std::sync::Mutex::new(None));
        let place_struck = Arc::clone(&struck);
        app.context.shell.faults = FaultPoint::new(move |place| {
            let strikes = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
                && place_struck.lock().unwrap().is_none();
            strikes.then(|| {
                *place_struck.lock().unwrap() = Some(place);
                sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
            })
        });
        assert_eq!(sweep(&app).await.is_none(), struck.lock().unwrap().is_some());
        assert_eq!(everything(&app).await, before, "{struck:?}");
        app.context.shell.faults = FaultPoint::default();
        app.settle().await;
        assert_eq!(everything(&app).await, before);
        assert_eq!((rows(&app).await.whole, rows(&app).await.work), (0, 0));
        match struck.lock().unwrap().take() {
            Some(place) => seen.insert(place.to_string()),
            None => break,
        };
    }
    for place in ["Before Settle", "After Settle", "Before Commit", "After Commit"] {
        assert!(seen.contains(&format!("{place} of sweeper")), "{seen:?}");
    }
    app.finish().await;
}

/// Puts many settled facts about an opening into the inbox, as of now.
async fn many(app: &TestApp, opening: &str, count: usize) {
    let ids: Vec<_> = (0..count).map(|_| app.state.shell.ids.next()).collect();
    sqlx::query(
        "insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, opening_id, received_at,
                retry_from, status, outcome, settled_at)
         select id, 'webhook:nexusbank', id::text, 'webhook', 'nexusbank', convert_to(id::text, 'utf8'),
                sha256(convert_to(id::text, 'utf8')), '{}', $2::uuid, $3, $3, 'applied', 'applied', $3
           from unnest($1::uuid[]) as n(id)",
    )
    .bind(ids)
    .bind(opening)
    .bind(app.now())
    .execute(&app.pool)
    .await
    .unwrap();
}

/// More than one commit takes, in the same order by both.
#[tokio::test]
async fn two_sweepers_at_once_move_each_row_once() {
    let app = TestApp::start().await;
    let (id, _) = completed(&app, "msg_1", IBAN).await;
    many(&app, &id, 2_600).await;
    let before = everything(&app).await;
    app.pass(MONTH);
    let working = async || {
        let mut moved = 0;
        for _ in 0..50 {
            let Some(Archived { facts, work, .. }) = sweep(&app).await else { panic!("a sweep failed") };
            assert!(facts.rows <= 500, "{facts:?}");
            moved += facts.rows + work.rows;
        }
        moved
    };
    let (one, other) = tokio::join!(working(), working());
    assert_eq!(one + other, 2_607);
    assert_eq!(everything(&app).await, before);
    assert_eq!(rows(&app).await, Where { slim: 2_604, archived: 2_604, archived_work: 3, ..Where::default() });
    app.finish().await;
}

/// A second sweeper does not wait: neither for the walk, nor for a row that another session holds, which goes the next day.
#[tokio::test]
async fn a_sweeper_waits_for_no_lock() {
    let app = TestApp::start().await;
    completed(&app, "msg_1", IBAN).await;
    app.pass(MONTH);
    for (held, moved) in
        [("select from archive_walks for update", 0), ("select from inbox where event_id = 'msg_1' for update", 3)]
    {
        let mut somebody = app.pool.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(held.to_owned())).execute(&mut *somebody).await.unwrap();
        assert_eq!(sweep(&app).await.unwrap().facts.rows, moved, "{held}");
        somebody.rollback().await.unwrap();
    }
    app.settle().await;
    app.pass_settling(TimeDelta::days(1), TimeDelta::hours(6)).await;
    assert_eq!(rows(&app).await, Where { slim: 4, archived: 4, archived_work: 3, ..Where::default() });
    app.finish().await;
}

#[tokio::test]
async fn the_database_lets_nothing_go_that_is_not_in_its_archive() {
    let app = TestApp::start().await;
    completed(&app, "msg_1", IBAN).await;
    let refused = async |table: &str| {
        let sql = format!("delete from {table}");
        let done = sqlx::query(AssertSqlSafe(sql)).execute(&app.state.cell.pool).await;
        done.err().and_then(|it| it.as_database_error()?.code().map(std::borrow::Cow::into_owned))
    };
    for table in ["inbox", "outbox", "inbox_archive", "outbox_archive"] {
        assert_eq!(refused(table).await.as_deref(), Some("42501"), "{table}");
    }
    app.pass(MONTH);
    app.settle().await;
    assert_eq!(refused("inbox").await, None, "what is left there is the key");
    assert_eq!(rows(&app).await.archived, 4);
    app.finish().await;
}

/// A fact that cannot move holds up neither the work nor the keys that can.
#[tokio::test]
async fn a_row_that_cannot_be_archived_holds_up_nothing_else() {
    let app = TestApp::start().await;
    completed(&app, "msg_1", IBAN).await;
    app.pass(MONTH);
    // As after a restore of one table and not of the other.
    sqlx::query(
        "insert into inbox_archive (id, consumer_group, event_id, source, provider, part, body, body_digest, headers,
                received_at, status, attempts, attempt_log, duplicates, settled_at, archived_at)
         select id, consumer_group, event_id, source, provider, part, body, body_digest, headers,
                received_at, status, attempts, attempt_log, duplicates, settled_at, $1 from inbox where event_id = 'msg_1'",
    )
    .bind(app.now())
    .execute(&app.pool)
    .await
    .unwrap();
    assert!(sweep(&app).await.is_none(), "it is told of");
    assert_eq!(rows(&app).await.archived_work, 3);
    sqlx::query("delete from inbox_archive where event_id = 'msg_1'").execute(&app.pool).await.unwrap();
    app.finish().await;
}
