//! The database: openings, one of them with many facts, and a busy day of work for people.

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::cell::Cell;
use crate::fill::run;
use crate::numbers::{self, Kind};
use crate::rows::Life;

/// The rows that are filled in, by their ids.
pub struct Seed {
    pub openings: u64,
    /// The opening with many facts, and the newest of those.
    pub shown: Uuid,
    pub fact: Uuid,
    pub case: Uuid,
    pub letter: Uuid,
    pub refused: Uuid,
    pub report: Uuid,
    /// A report with one mismatch, the oldest.
    pub quiet_report: Uuid,
    pub held: Uuid,
    pub mismatch: Uuid,
    /// The last ones of their lists.
    pub oldest_case: Uuid,
    pub oldest_mismatch: Uuid,
}

impl Seed {
    pub async fn fill(cell: &mut Cell, openings: u64, facts: u64) -> Self {
        eprintln!("filling a database with {openings} openings");
        cell.fill_many(Life::Completed, openings).await;
        eprintln!(
            "openings and their indexes are made; next: a day of work, {facts} facts on one opening, and statistics"
        );
        let waiting = cell.fill(1).await;
        let shown = numbers::id(Kind::Opening, waiting);
        let seed = include_str!("seed.sql");
        let seed = seed.replace("{openings}", &openings.to_string()).replace("{facts}", &facts.to_string());
        let seed = seed.replace("{shown}", &shown.to_string()).replace("{reference}", &numbers::reference(waiting));
        run(&mut cell.connection, &seed).await;
        cell.settle().await;
        let connection = &mut cell.connection;
        Self {
            openings,
            shown,
            fact: newest(connection, &format!("inbox where opening_id = '{shown}'")).await,
            case: newest(connection, "cases where status = 'open'").await,
            letter: newest(connection, "inbox where status = 'dead'").await,
            refused: newest(connection, "rejected_requests where verified_at is null").await,
            report: newest(connection, "reports where state = 'finished'").await,
            held: newest(connection, "reports where state = 'held'").await,
            mismatch: newest(connection, "mismatches where state = 'case'").await,
            quiet_report: first(connection, "reports where state = 'finished'").await,
            oldest_case: first(connection, "cases").await,
            oldest_mismatch: first(connection, "mismatches").await,
        }
    }

    /// The pages of so many browsers: half of them show an opening each, the others the first page and the list.
    pub fn open_pages(&self, browsers: u64) -> Vec<String> {
        let page = |n: u64| match n % 4 {
            0 => "/".to_owned(),
            1 => "/openings".to_owned(),
            _ => format!("/openings/{}", numbers::id(Kind::Opening, 1 + n % self.openings)),
        };
        (0..browsers).map(page).collect()
    }
}

async fn newest(connection: &mut PgConnection, of: &str) -> Uuid {
    id(connection, &format!("{of} order by id desc")).await
}

async fn first(connection: &mut PgConnection, of: &str) -> Uuid {
    id(connection, &format!("{of} order by id")).await
}

async fn id(connection: &mut PgConnection, of: &str) -> Uuid {
    let id = AssertSqlSafe(format!("select id from {of} limit 1"));
    sqlx::query_scalar(id).fetch_one(connection).await.expect("it was filled in")
}
