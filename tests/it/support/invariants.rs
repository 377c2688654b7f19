//! What must hold at the end of every test.

use account_opening::db::{Page, history};
use account_opening::domain::OpeningId;
use account_opening::domain::chain::{Hash, HistoryKey};

use super::{KEY, TestApp};

/// Panics where a promise is broken.
pub async fn check(app: &TestApp) {
    no_work_is_due(app).await;
    histories_replay_and_verify(app).await;
    every_opening_is_looked_after(app).await;
    let ledger = app.world.ledger();
    assert_eq!(ledger.counts.double_effects, 0, "P9: something was made twice: {ledger:?}");
    assert_eq!(ledger.counts.forged_accepted, 0, "a forged message was taken");
}

/// Nothing is pending that could be done now; what waits has a time at which it is tried again.
async fn no_work_is_due(app: &TestApp) {
    let due: i64 = sqlx::query_scalar(
        "select (select count(*) from inbox where status = 'pending' and next_attempt_at <= $1)
              + (select count(*) from outbox where status = 'pending' and next_attempt_at <= $1
                    and (lease_until is null or lease_until <= $1))
              + (select count(*) from timers where due_at <= $1)",
    )
    .bind(app.now())
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(due, 0, "work is due that nobody did");
}

/// P7, P22: each history is a chain of legal steps that leads to the anchor's state and head.
async fn histories_replay_and_verify(app: &TestApp) {
    let key = app.edge.settings.history_key.clone().unwrap_or_else(|| HistoryKey::new(&KEY));
    let anchors: Vec<(uuid::Uuid, String, i64, Vec<u8>)> =
        sqlx::query_as("select id, state, version, head_hash from account_openings")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let mut connection = app.pool.acquire().await.unwrap();
    for (id, state, version, head) in anchors {
        let page = Page { limit: 100, after: None };
        let rows = history::list(&mut connection, OpeningId(id), page).await.unwrap();
        let mut previous: Option<Hash> = None;
        let mut at: Option<String> = None;
        for (row, expected) in rows.iter().zip(1..) {
            assert_eq!(row.version, expected, "{id}: a version is missing");
            assert_eq!(row.from_state, at, "{id}: version {expected} does not follow");
            let hash = key.link(previous.as_ref(), &row.chained());
            assert_eq!(row.hash, hash, "{id}: the chain breaks at version {expected}");
            previous = Some(hash);
            at = Some(row.to_state.clone());
        }
        assert_eq!(at.as_deref(), Some(state.as_str()), "{id}: the history does not lead to the state");
        assert_eq!(rows.len() as i64, version, "{id}");
        assert_eq!(previous.map(|it| it.to_vec()), Some(head), "{id}: the head is another");
    }
}

/// P21: an opening that is not at its end has a timer, or people know of it; one that is has none.
async fn every_opening_is_looked_after(app: &TestApp) {
    let forgotten: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "select o.id, o.state from account_openings o left join timers t on t.opening_id = o.id
          where case when o.state in ('completed', 'rejected', 'failed') then t.opening_id is not null
                     when o.state = 'escalated' then not exists (select 1 from tickets k where k.opening_id = o.id
                          and k.kind = 'AccountOpeningWebhookNotReceived' and k.status = 'open')
                     else t.due_at is null end",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(forgotten.is_empty(), "nobody looks after {forgotten:?}");
}
