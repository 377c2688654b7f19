//! Very many webhooks about one opening, and among them some that complete other openings of its market: how long these wait.

use crate::cell::Cell;
use crate::numbers::{self, Kind};
use crate::rounds::at_once;
use crate::setting::{Outcome, Setting, Way};
use crate::webhooks;

/// Of so many webhooks, one is about another opening.
const ONE_IN: u64 = 64;
/// Numbers that are so far apart have the same market, and one of two neighbours is odd.
const APART: u64 = 5;

/// Sends `count` webhooks; `ack to applied` is of those about the other openings.
pub async fn run(setting: &mut Setting<'_>, count: u64) -> Outcome {
    let others = count.div_ceil(ONE_IN);
    let first = setting.fresh(2 * APART * others + 2 * APART).await.next_multiple_of(2);
    let flooded = first + APART;
    let other = |k: u64| first + 2 * APART * k;
    let request = |place: u64| match place % ONE_IN {
        0 => webhooks::completed(other(place / ONE_IN)),
        _ => webhooks::in_progress(flooded, first + place),
    };
    let requests = (0..count).map(request).collect();
    // The others have even numbers.
    let figures = setting.load(&Way { watched: 2, ..at_once(64) }, requests).await;
    (figures, check(&mut setting.cell, &(0..others).map(other).collect::<Vec<_>>()).await)
}

async fn check(cell: &mut Cell, others: &[u64]) -> Vec<String> {
    let ids: Vec<_> = others.iter().map(|n| numbers::id(Kind::Opening, *n)).collect();
    let moved = "select count(*) from account_openings where id = any($1) and state = 'issuing_card' and version = 4";
    let moved: i64 =
        sqlx::query_scalar(moved).bind(ids).fetch_one(&mut cell.connection).await.expect("Postgres answers");
    let all = others.len();
    if usize::try_from(moved) == Ok(all) { Vec::new() } else { vec![format!("{moved} of {all} others were completed")] }
}
