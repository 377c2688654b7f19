//! Whether every webhook that was acknowledged was applied, exactly once.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::numbers::{self, Kind};

/// Looks at the openings `first..first + count`, which pgbench completed; what is wrong.
pub async fn completed(connection: &mut PgConnection, first: u64, count: u64) -> Vec<String> {
    let (from, to) = (numbers::id(Kind::Opening, first), numbers::id(Kind::Opening, first + count - 1));
    let there = "select count(*) from account_openings o join inbox i on i.opening_id = o.id
                  where o.id between $1 and $2 and o.state = 'issuing_card'";
    let there: i64 =
        sqlx::query_scalar(there).bind(from).bind(to).fetch_one(connection).await.expect("Postgres answers");
    if u64::try_from(there) == Ok(count) { Vec::new() } else { vec![format!("pgbench completed {there} of {count}")] }
}

/// Looks at the openings `first..first + count`, each of which had one webhook acknowledged; what is wrong.
pub async fn applied_once(connection: &mut PgConnection, first: u64, count: u64) -> Vec<String> {
    let (from, to) = (numbers::id(Kind::Opening, first), numbers::id(Kind::Opening, first + count - 1));
    let mut wrong = Vec::new();
    let counts = "select (select count(*) from inbox where opening_id between $1 and $2 and source = 'webhook'),
                         (select count(*) from inbox where opening_id between $1 and $2 and source = 'webhook'
                             and status = 'applied' and outcome = 'applied'),
                         (select count(*) from opening_history where opening_id between $1 and $2 and version > 3),
                         (select count(*) from opening_history where opening_id between $1 and $2 and version = 4
                             and to_state = 'issuing_card'),
                         (select count(*) from outbox where opening_id between $1 and $2 and topic = 'issue_card')";
    let counted: (i64, i64, i64, i64, i64) =
        sqlx::query_as(counts).bind(from).bind(to).fetch_one(&mut *connection).await.expect("Postgres answers");
    let (facts, applied, later, steps, cards) = counted;
    let all = i64::try_from(count).expect("a count");
    for (what, is) in [
        ("facts in the inbox", facts),
        ("facts that were applied", applied),
        ("steps after the wait", later),
        ("steps to issuing_card", steps),
        ("commands to issue a card", cards),
    ] {
        if is != all {
            wrong.push(format!("{what}: {is}, {all} webhooks were acknowledged"));
        }
    }
    let anchors = "select id, coalesce(iban, '') from account_openings
                    where id between $1 and $2 and state = 'issuing_card' and version = 4";
    let anchors: Vec<(Uuid, String)> =
        sqlx::query_as(anchors).bind(from).bind(to).fetch_all(connection).await.expect("Postgres answers");
    let held: HashMap<Uuid, String> = anchors.into_iter().collect();
    let lacks = |n: &u64| held.get(&numbers::id(Kind::Opening, *n)) != Some(&numbers::iban(*n));
    let lacking = (first..first + count).filter(lacks).count();
    if lacking > 0 {
        wrong.push(format!("openings without the account that was told: {lacking}"));
    }
    wrong
}
