//! Rows of one file with the same line id and different content: none of them counts, and a person sees them all.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::sync::{Desired, Findings};
use super::{Charges, File, Incoming, incoming};
use crate::db::report_rows::{self, ChargeOfReport};
use crate::reconciliation::classify::Class;
use crate::reconciliation::classify::charges::conflicting;
use crate::report_files::row::ChargeRow;

/// How many of the rows are shown; all are named.
const SHOWN: usize = 10;

impl Charges {
    /// Says that rows of a file contradict each other.
    pub(super) async fn conflict(
        &self,
        connection: &mut PgConnection,
        file: File,
        rows: &[Incoming],
        sync: &mut Findings<'_>,
    ) -> sqlx::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = rows.iter().map(|it| it.row.line_id.clone()).collect();
        let mut by_line: BTreeMap<String, Vec<ChargeOfReport>> = BTreeMap::new();
        for row in report_rows::of_keys(connection, file.report, &self.provider, &ids).await? {
            if row.class == Class::ConflictingRows.as_str() {
                by_line.entry(row.row_key.clone()).or_default().push(row);
            }
        }
        for (line_id, mut rows) in by_line {
            rows.sort_unstable_by_key(|it| it.n);
            let key = (line_id, "rows".to_owned());
            for row in &rows {
                sync.say(key.clone(), file.report, row.line);
            }
            sync.add(vec![(key, desired(file, &rows))]);
        }
        Ok(())
    }
}

fn desired(file: File, rows: &[ChargeOfReport]) -> Desired {
    let shown: Vec<ChargeRow> = rows.iter().take(SHOWN).filter_map(|it| Some(incoming(it)?.row)).collect();
    Desired {
        finding: conflicting(&shown).map(Box::new),
        opening_id: rows.iter().find_map(|it| it.opening_id),
        provider_reference: shown.first().and_then(|it| it.provider_reference.clone()),
        as_of: Some(file.as_of),
        ..Desired::default()
    }
}
