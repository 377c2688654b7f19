//! P22: changes by a role that can disable triggers are found and located.
//!
//! Each test forges a history as superuser with the triggers off, asks the verifier, and puts the history back.

use account_opening::app::verify::{self, Totals};
use account_opening::domain::chain::HistoryKey;
use account_opening::domain::verify::{Finding, Flaw, Head};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;
use world::Verdict;

use crate::support::{KEY, TestApp};

/// An app with openings in several states; the id of one with a history of five rows.
async fn opened() -> (TestApp, Uuid) {
    let app = TestApp::start().await;
    app.open().waiting().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.world.decide(&tracking_id, &Verdict::complete()).unwrap().told().await;
    app.open().start().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["version"], 5);
    (app, id.parse().unwrap())
}

async fn run(app: &TestApp, sql: &str) {
    // In one transaction with the triggers off, foreign keys' too.
    let sql = format!("begin; set local session_replication_role = replica; {sql}; commit");
    app.pool.acquire().await.unwrap().execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

async fn verified(app: &TestApp, key: &HistoryKey, only: Option<Uuid>) -> (Totals, Vec<Finding>, Vec<Head>) {
    let (mut findings, mut heads) = (Vec::new(), Vec::new());
    let totals = verify::histories(&app.state.cell.pool, key, only, |_, verified| {
        findings.extend(verified.findings);
        heads.extend(verified.head);
        Ok(())
    });
    (totals.await.unwrap(), findings, heads)
}

/// The findings of the verifier, as the service's role, after this forgery, all about `id`. Then the forgery is undone.
async fn found(app: &TestApp, id: Uuid, forgery: &str) -> Vec<(i64, Flaw)> {
    let key = HistoryKey::new(&KEY);
    run(app, "create table saved as table opening_history; create table saved_openings as table account_openings")
        .await;
    run(app, &forgery.replace("$id", &format!("'{id}'"))).await;
    let (_, findings, heads) = verified(app, &key, None).await;
    assert_eq!(heads.iter().any(|it| it.opening == id), findings.is_empty(), "only what verifies is exported");
    let (_, alone, _) = verified(app, &key, Some(id)).await;
    assert_eq!(alone, findings, "{forgery}");
    run(
        app,
        "delete from opening_history; delete from account_openings; insert into account_openings table saved_openings;
         insert into opening_history table saved; drop table saved, saved_openings",
    )
    .await;
    assert!(findings.iter().all(|it| it.opening == id), "{findings:?}");
    findings.into_iter().map(|it| (it.version, it.flaw)).collect()
}

#[tokio::test]
async fn an_untouched_history_is_clean_and_exported() {
    let (app, _) = opened().await;
    let (totals, findings, heads) = verified(&app, &HistoryKey::new(&KEY), None).await;
    assert_eq!((totals.openings, totals.rows, findings), (3, 3 + 5 + 3, vec![]));
    assert!(!totals.key_is_doubtful());
    let anchors: Vec<(Uuid, i64, Vec<u8>)> =
        sqlx::query_as("select id, version, head_hash from account_openings order by id")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let heads: Vec<_> = heads.into_iter().map(|it| (it.opening, it.version, it.hash.to_vec())).collect();
    assert_eq!(heads, anchors);
    app.finish().await;
}

#[tokio::test]
async fn a_row_that_was_edited_is_found() {
    let (app, id) = opened().await;
    for column in ["event = 'x'", "detail = ''", "source = 'operator'", "at = at + interval '1 microsecond'"] {
        let edit = format!("update opening_history set {column} where opening_id = $id and version = 3");
        assert_eq!(found(&app, id, &edit).await, [(3, Flaw::Edited { to: 3 })], "{column}");
    }
    for version in 1..=5 {
        let edit =
            format!("update opening_history set hash = sha256('x') where opening_id = $id and version = {version}");
        assert_eq!(found(&app, id, &edit).await, [(version, Flaw::Edited { to: version })]);
    }
    // With a hash of the forger's own the next row does not follow either: it was made over the hash that was there.
    let both = "update opening_history set event = 'x', hash = sha256('x') where opening_id = $id and version = 3";
    assert_eq!(found(&app, id, both).await, [(3, Flaw::Edited { to: 4 })]);
    // The last, with the anchor's head.
    let last = "update opening_history set event = 'x', hash = sha256('x') where opening_id = $id and version = 5;
                update account_openings set head_hash = sha256('x') where id = $id";
    assert_eq!(found(&app, id, last).await, [(5, Flaw::Edited { to: 5 })]);
    // Two at a time.
    let two = "update opening_history set event = 'x' where opening_id = $id and version in (2, 4)";
    assert_eq!(found(&app, id, two).await, [(2, Flaw::Edited { to: 2 }), (4, Flaw::Edited { to: 4 })]);
    app.finish().await;
}

#[tokio::test]
async fn a_row_that_was_deleted_is_found_also_when_those_behind_it_were_renumbered() {
    let (app, id) = opened().await;
    for version in 1..=4 {
        let delete = format!("delete from opening_history where opening_id = $id and version = {version}");
        assert_eq!(found(&app, id, &delete).await, [(version, Flaw::Deleted { to: version })]);
    }
    let two = "delete from opening_history where opening_id = $id and version in (2, 3)";
    assert_eq!(found(&app, id, two).await, [(2, Flaw::Deleted { to: 3 })]);
    for anchor in ["", "update account_openings set version = 4 where id = $id"] {
        let renumbered = format!(
            "delete from opening_history where opening_id = $id and version = 3;
             update opening_history set version = version - 1 where opening_id = $id and version > 3; {anchor}"
        );
        assert_eq!(found(&app, id, &renumbered).await, [(3, Flaw::Deleted { to: 3 })], "{anchor}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_row_that_was_inserted_is_found() {
    let (app, id) = opened().await;
    let insert = |version: i64| {
        format!(
            "insert into opening_history select opening_id, {version}, from_state, to_state, event, source, inbox_id, at,
                    detail, sha256('x') from opening_history where opening_id = $id and version = 4"
        )
    };
    assert_eq!(found(&app, id, &insert(6)).await, [(6, Flaw::Inserted)]);
    assert_eq!(found(&app, id, &insert(9)).await, [(9, Flaw::Inserted)]);
    assert_eq!(found(&app, id, &insert(i64::MAX)).await, [(i64::MAX, Flaw::Inserted)]);
    // Behind all others, and the anchor with it: like an edit of a row that never was.
    let appended =
        format!("{}; update account_openings set version = 6, head_hash = sha256('x') where id = $id", insert(6));
    assert_eq!(found(&app, id, &appended).await, [(6, Flaw::Edited { to: 6 })]);
    // In between, with those behind it renumbered.
    let between = format!(
        "update opening_history set version = version + 100 where opening_id = $id and version >= 3;
         update opening_history set version = version - 99 where opening_id = $id and version > 100;
         {}; update account_openings set version = 6 where id = $id",
        insert(3).replace("version = 4", "version = 5")
    );
    assert_eq!(found(&app, id, &between).await, [(3, Flaw::Inserted)]);
    app.finish().await;
}

#[tokio::test]
async fn rows_that_were_swapped_are_found() {
    let (app, id) = opened().await;
    for (one, other) in [(3, 4), (2, 4), (1, 5), (4, 5)] {
        for columns in ["*", "hash", "content"] {
            let set = match columns {
                "*" => "version = 9 - version",
                "hash" => "hash = s.hash",
                _ => {
                    "from_state = s.from_state, to_state = s.to_state, event = s.event, source = s.source,
                      inbox_id = s.inbox_id, at = s.at, detail = s.detail"
                }
            };
            let swap = if columns == "*" {
                format!(
                    "update opening_history set version = 100 where opening_id = $id and version = {one};
                     update opening_history set version = {one} where opening_id = $id and version = {other};
                     update opening_history set version = {other} where opening_id = $id and version = 100"
                )
            } else {
                format!(
                    "update opening_history h set {set} from saved s
                      where h.opening_id = $id and s.opening_id = $id and h.version in ({one}, {other})
                        and s.version = {one} + {other} - h.version"
                )
            };
            assert_eq!(found(&app, id, &swap).await, [(one, Flaw::Swapped { with: other })], "{one} {other} {columns}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn a_tail_that_was_cut_off_and_an_anchor_that_was_moved_are_found() {
    let (app, id) = opened().await;
    let cut = "delete from opening_history where opening_id = $id and version > 3";
    assert_eq!(found(&app, id, cut).await, [(4, Flaw::Truncated { to: 5 })]);
    let all = "delete from opening_history where opening_id = $id";
    assert_eq!(found(&app, id, all).await, [(1, Flaw::Truncated { to: 5 })]);
    for (change, about) in [
        ("version = 4", "version"),
        ("state = 'issuing_card', card_id = null", "state"),
        ("head_hash = sha256('x')", "head"),
    ] {
        let moved = format!("update account_openings set {change} where id = $id");
        assert_eq!(found(&app, id, &moved).await, [(5, Flaw::AnchorDisagrees { about })], "{change}");
    }
    let without = "delete from account_openings where id = $id";
    assert_eq!(found(&app, id, without).await, [(1, Flaw::NoAnchor)]);
    app.finish().await;
}

/// The chain proves that a holder of the key wrote a row, not that the step was allowed. With the key, too, the table of steps holds.
#[tokio::test]
async fn an_illegal_step_is_found_although_its_hash_is_right() {
    let (app, id) = opened().await;
    let key = HistoryKey::new(&KEY);
    let (.., heads) = verified(&app, &key, Some(id)).await;
    let row = account_opening::domain::chain::Row {
        opening: id,
        version: 6,
        from: Some("completed"),
        to: "failed",
        event: "x",
        source: "operator",
        inbox_id: None,
        at: app.now(),
        detail: None,
    };
    let hash = hex::encode(key.link(Some(&heads[0].hash), &row));
    let at = app.now().to_rfc3339();
    let step = format!(
        "insert into opening_history values ($id, 6, 'completed', 'failed', 'x', 'operator', null, '{at}', null, '\\x{hash}');
         update account_openings set state = 'failed', reason = 'x', iban = null, bic = null, card_id = null, version = 6,
                head_hash = '\\x{hash}' where id = $id"
    );
    let flaw = Flaw::IllegalStep { from: Some("completed".to_owned()), to: "failed".to_owned() };
    assert_eq!(found(&app, id, &step).await, [(6, flaw)]);
    app.finish().await;
}

#[tokio::test]
async fn a_history_removed_whole_or_set_back_is_found_by_the_exported_heads() {
    let (app, id) = opened().await;
    let key = HistoryKey::new(&KEY);
    let (.., heads) = verified(&app, &key, None).await;
    let compared = async || {
        let mut findings = Vec::new();
        verify::heads(&app.state.cell.pool, &heads, |it| findings.push((it.opening, it.version, it.flaw)))
            .await
            .unwrap();
        findings
    };
    assert_eq!(compared().await, []);

    run(&app, "create table saved as table opening_history; create table saved_openings as table account_openings")
        .await;
    let restore = format!(
        "delete from opening_history where opening_id = '{id}'; delete from account_openings where id = '{id}';
         insert into account_openings select * from saved_openings where id = '{id}';
         insert into opening_history select * from saved where opening_id = '{id}'"
    );
    for (forgery, flaw) in [
        ("delete from opening_history where opening_id = $id; delete from account_openings where id = $id", Flaw::Removed),
        (
            "delete from opening_history where opening_id = $id and version > 3;
             update account_openings a set version = 3, state = 'awaiting_provider', iban = null, bic = null,
                    card_id = null, head_hash = (select hash from opening_history where opening_id = $id and version = 3)
              where id = $id",
            Flaw::HeadGone,
        ),
    ] {
        run(&app, &forgery.replace("$id", &format!("'{id}'"))).await;
        assert_eq!(verified(&app, &key, None).await.1, [], "no trace of it is in the database");
        assert_eq!(compared().await, [(id, 5, flaw)]);
        run(&app, &restore).await;
    }
    run(&app, &format!("update opening_history set hash = sha256('x') where opening_id = '{id}' and version = 5"))
        .await;
    assert_eq!(compared().await, [(id, 5, Flaw::AnotherHead)]);
    run(&app, &restore).await;
    run(&app, "drop table saved, saved_openings").await;
    app.finish().await;
}

#[tokio::test]
async fn under_another_key_nothing_verifies_and_the_key_is_doubted() {
    let (app, _) = opened().await;
    let (totals, findings, heads) = verified(&app, &HistoryKey::new(&[8; 32]), None).await;
    assert!(totals.key_is_doubtful() && heads.is_empty());
    let flaws: Vec<_> = findings.into_iter().map(|it| (it.version, it.flaw)).collect();
    let all = |to| (1, Flaw::Edited { to });
    assert_eq!(flaws, [all(3), all(5), all(3)], "one finding for each");
    app.finish().await;
}

/// An attacker's second row of one version, once the table's key is gone.
#[tokio::test]
async fn a_second_row_of_one_version_is_found() {
    let (app, id) = opened().await;
    for hash in ["\\x00", "\\xff"] {
        let twice = format!(
            "alter table opening_history drop constraint opening_history_pkey;
             alter table opening_history drop constraint opening_history_hash_check;
             insert into opening_history select opening_id, version, from_state, to_state, 'x', source, inbox_id, at,
                    detail, '{hash}' from opening_history where opening_id = $id and version = 3"
        );
        assert_eq!(found(&app, id, &twice).await, [(3, Flaw::Inserted)]);
        run(
            &app,
            "alter table opening_history add constraint opening_history_pkey primary key (opening_id, version);
             alter table opening_history add constraint opening_history_hash_check check (length(hash) = 32)",
        )
        .await;
    }
    app.finish().await;
}
