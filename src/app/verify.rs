//! Verifies every history of a database, page by page: what `verify-history` and the tests run.
//!
//! Each page is read in one snapshot, so that a service that runs meanwhile moves no anchor between the two reads, and no
//! snapshot is held for long. Nothing is written.

use std::collections::HashMap;

use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::db::acquire;
use crate::db::history::{self, Anchored, Transition};
use crate::domain::chain::HistoryKey;
use crate::domain::verify::{self, Anchor, Finding, Flaw, Head, Link};

/// Openings that are read at once.
const PAGE: usize = 500;
/// Rows of one history that are read: far more than the table of steps allows, so that a forged history is no burden.
const MAX_ROWS: i64 = 64;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Openings, with an anchor, a history, or both.
    pub openings: u64,
    /// Rows of history.
    pub rows: u64,
    /// Histories of which no row verifies, the first included.
    pub strange: u64,
}

impl Totals {
    /// Whether the key is more likely to be wrong than every single history: it fits none.
    #[must_use]
    pub const fn key_is_doubtful(&self) -> bool {
        self.strange > 0 && self.strange == self.openings
    }
}

/// One opening, verified.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Which.
    pub opening: Uuid,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Its history's end, where nothing is wrong.
    pub head: Option<Head>,
}

/// Verifies every opening, or one, and hands over each.
///
/// # Errors
/// When the database is away, or `each` gives up.
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

/// How many of the newest histories are looked at before a start. More than one, so that an edit of the newest history does
/// not look like another key.
const NEWEST: i64 = 10;

/// Whether the key may be the one that the newest histories were written with: one of them verifies in part, or there are
/// none.
pub async fn fits_the_newest(pool: &PgPool, key: &HistoryKey) -> sqlx::Result<bool> {
    let mut connection = acquire(pool).await?;
    let newest = history::newest_openings(&mut connection, NEWEST).await?;
    let mut totals = Totals::default();
    Page::of(&mut connection, newest).await?.verified(key, &mut totals);
    Ok(!totals.key_is_doubtful())
}

/// The histories, if no row of any verifies under the key. None: one does, or there are no histories. It reads all of them only
/// where the key is another.
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

/// Looks for the histories whose heads were exported, and hands over what became of them.
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

/// Some openings as one snapshot has them.
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

    /// Where the page after this one begins.
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

/// The next id in the database's order, which is that of the bytes.
fn after(id: &Uuid) -> Option<Uuid> {
    id.as_u128().checked_add(1).map(Uuid::from_u128)
}
