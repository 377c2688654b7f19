//! Follows the events at one replica from the first one, by cursor, across all failures.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::run::{Run, count};
use crate::files::now;
use crate::record::Seen;

/// How many events are asked for at once.
const PAGE: usize = 200;
/// How long it waits when there may be nothing new.
const PAUSE: Duration = Duration::from_millis(200);
/// So many empty pages in a row are the end, once the service is at rest.
const EMPTY: u32 = 2;

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next_cursor: String,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    id: String,
    /// Absent of a report or a case.
    #[serde(default)]
    version: i64,
}

/// Follows until the service is at rest and there is nothing more.
pub async fn follow(run: Arc<Run>, replica: usize) {
    let mut cursor = None;
    let mut empty = 0;
    while empty < EMPTY {
        let finishing = run.finishing.is_cancelled();
        let page = read(&run, replica, cursor.as_deref()).await;
        let items = page.as_ref().map(|page| page.items.len());
        if let Some(page) = page {
            record(&run, replica, page.items);
            cursor = Some(page.next_cursor);
        }
        empty = if finishing && items == Some(0) { empty + 1 } else { 0 };
        if items != Some(PAGE) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn read(run: &Run, replica: usize, cursor: Option<&str>) -> Option<Page> {
    let cursor = cursor.map(|it| format!("&cursor={it}")).unwrap_or_default();
    let reply = run.net.send(replica, &run.get(format!("/v1/events?limit={PAGE}{cursor}"))).await;
    (reply.status == 200).then(|| serde_json::from_slice(&reply.body).ok()).flatten()
}

fn record(run: &Run, reader: usize, items: Vec<Item>) {
    for item in items {
        let Item { id, kind, data: Data { id: opening, version } } = item;
        count(&run.counts.events);
        run.history.record(&Seen::Event { at: now(), reader, id, kind, opening, version });
    }
}
