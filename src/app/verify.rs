//! Verifies the histories of a database page by page, for `verify-history` and the tests.
//!
//! Each page is read in one snapshot, so that a running service cannot move an anchor between the two reads, and no
//! snapshot is open for long. Nothing is written.

use std::collections::HashMap;

use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::db::acquire;
use crate::db::history::{self, Anchored, Transition};
use crate::domain::chain::HistoryKey;
use crate::domain::verify::{self, Anchor, Finding, Flaw, Head, Link};

/// Openings per page.
const PAGE: usize = 500;
/// Maximum rows read per history: far more than a legal history has, so that a forged one costs little.
const MAX_ROWS: i64 = 64;

/// Counts of a verification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Openings with an anchor, a history, or both.
    pub openings: u64,
    pub rows: u64,
    /// Histories with no verifying row at all.
    pub strange: u64,
}

impl Totals {
    /// Whether the key is probably wrong: it verifies no history.
    #[must_use]
    pub const fn key_is_doubtful(&self) -> bool {
        self.strange > 0 && self.strange == self.openings
    }
}

#[derive(Clone, Debug)]
pub struct Verified {
    pub opening: Uuid,
    pub findings: Vec<Finding>,
    /// The head of its history, if there are no findings.
    pub head: Option<Head>,
}

/// Verifies every opening, or only one, and passes each result to `each`.
///
/// # Errors
/// If `each` fails.
pub async fn histories(
    pool: &PgPool,
    key: &HistoryKey,
    only: Option<Uuid>,
    mut each: impl FnMut(&Totals, Verified) -> anyhow::Result<()>,
) -> anyhow::Result<Totals> {
    let mut totals = Totals::default();
    let mut next = Some(only.unwrap_or_default());
    while let Some(first) = next {
        let page = read(&mut *acquire(pool).await?, first, only).await?;
        next = page.next();
        for verified in page.verified(key, &mut totals) {
            each(&totals, verified)?;
        }
    }
    Ok(totals)
}

/// How many of the newest histories are verified at the start. More than one, so that an edited newest history is not
/// mistaken for a wrong key.
const NEWEST: i64 = 10;

/// Whether the key may be right: it verifies at least one row of the newest histories, or no history exists.
pub async fn fits_the_newest(pool: &PgPool, key: &HistoryKey) -> sqlx::Result<bool> {
    let mut connection = acquire(pool).await?;
    let newest = history::newest_openings(&mut connection, NEWEST).await?;
    let mut totals = Totals::default();
    Page::of(&mut connection, newest).await?.verified(key, &mut totals);
    Ok(!totals.key_is_doubtful())
}

/// Counts the histories if the key verifies no row of any. None: the key verifies one, or there are no histories. Stops
/// at the first row that verifies.
pub async fn under_another_key(pool: &PgPool, key: &HistoryKey) -> sqlx::Result<Option<Totals>> {
    let mut totals = Totals::default();
    let mut next = Some(Uuid::nil());
    while let Some(first) = next {
        let page = read(&mut *acquire(pool).await?, first, None).await?;
        next = page.next();
        page.verified(key, &mut totals);
        if !totals.key_is_doubtful() {
            return Ok(None);
        }
    }
    Ok(Some(totals))
}

/// Compares exported heads with the database and passes each finding to `each`.
pub async fn heads(pool: &PgPool, heads: &[Head], mut each: impl FnMut(Finding)) -> anyhow::Result<()> {
    for heads in heads.chunks(PAGE) {
        let remains = history::remains(&mut *acquire(pool).await?, heads).await?;
        for left in remains {
            let head = usize::try_from(left.position - 1).ok().and_then(|index| heads.get(index));
            head.and_then(|it| verify::compare(it, left.anchored, left.hash.as_deref()))
                .into_iter()
                .for_each(&mut each);
        }
    }
    Ok(())
}

/// Openings with their anchors and histories, from one snapshot.
struct Page {
    openings: Vec<Uuid>,
    anchors: HashMap<Uuid, Anchored>,
    rows: Vec<Transition>,
}

async fn read(connection: &mut PgConnection, first: Uuid, only: Option<Uuid>) -> sqlx::Result<Page> {
    let begin = "begin isolation level repeatable read, read only";
    let mut snapshot = connection.begin_with(begin).await?;
    let openings = match only {
        Some(opening) => vec![opening],
        None => history::page_of_openings(&mut snapshot, first, i64::try_from(PAGE).unwrap_or(i64::MAX)).await?,
    };
    let page = Page::of(&mut snapshot, openings).await?;
    snapshot.commit().await?;
    Ok(page)
}

impl Page {
    async fn of(connection: &mut PgConnection, openings: Vec<Uuid>) -> sqlx::Result<Self> {
        let anchors = history::anchors(connection, &openings).await?;
        let rows = history::of_openings(connection, &openings, MAX_ROWS).await?;
        Ok(Self { openings, anchors: anchors.into_iter().map(|it| (it.id, it)).collect(), rows })
    }

    /// The first id of the next page.
    fn next(&self) -> Option<Uuid> {
        if self.openings.len() < PAGE { None } else { self.openings.last().and_then(after) }
    }

    fn verified(&self, key: &HistoryKey, totals: &mut Totals) -> Vec<Verified> {
        let mut rows = self.rows.as_slice();
        let mut verified = Vec::with_capacity(self.openings.len());
        for opening in &self.openings {
            let (own, rest) = rows.split_at(rows.iter().take_while(|it| it.opening_id == *opening).count());
            rows = rest;
            let links: Vec<Link<'_>> = own.iter().map(Transition::link).collect();
            let anchor = self.anchors.get(opening).map(Anchored::as_anchor);
            let findings = verify::verify(key, *opening, anchor.as_ref(), &links);
            totals.openings += 1;
            totals.rows += own.len() as u64;
            totals.strange += u64::from(is_strange(&findings, &links));
            let head = links.last().filter(|_| findings.is_empty()).and_then(|last| {
                Some(Head { opening: *opening, version: last.row.version, hash: last.hash.try_into().ok()? })
            });
            verified.push(Verified { opening: *opening, findings, head });
        }
        verified
    }
}

fn is_strange(findings: &[Finding], links: &[Link<'_>]) -> bool {
    let last = links.last().map(|it| it.row.version);
    findings.iter().any(|it| it.version == 1 && matches!(it.flaw, Flaw::Edited { to } if Some(to) == last))
}

impl Anchored {
    fn as_anchor(&self) -> Anchor<'_> {
        Anchor { state: &self.state, version: self.version, head: &self.head_hash }
    }
}

/// The next id in the database's byte order.
fn after(id: &Uuid) -> Option<Uuid> {
    id.as_u128().checked_add(1).map(Uuid::from_u128)
}
