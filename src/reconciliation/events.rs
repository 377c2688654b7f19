//! Events of reconciliation, each written with its deliveries in the commit that it tells of.
//!
//! A crash leaves both or neither. The ids are functions of report and case, so a report that is finished again after lost
//! commits has the same event.

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::resource::{Case, Report};
use crate::clock::Time;
use crate::db::cases::{self, NewCase};
use crate::db::events::{self, NewEvent};
use crate::db::outbox::{self, NewWork};
use crate::db::reports;
use crate::domain::ids::effect_of;
use crate::domain::{EventType, OpeningId};

/// Tells that a report was read and applied.
pub async fn report_finished(
    connection: &mut PgConnection,
    sinks: &[String],
    report: Uuid,
    now: Time,
) -> sqlx::Result<()> {
    let Some(row) = reports::get(connection, report).await? else { return Ok(()) };
    let data = serde_json::to_value(Report::from(row)).unwrap_or_default();
    emit(connection, sinks, &[event(EventType::ReportFinished, report, None, &data)], now).await
}

/// Tells which cases were opened, with the class of each one's mismatch. Call it once the mismatches are written and linked to
/// their rows. IBANs are masked.
pub async fn cases_opened(
    connection: &mut PgConnection,
    sinks: &[String],
    opened: &[NewCase],
    now: Time,
) -> sqlx::Result<()> {
    if opened.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = opened.iter().map(|it| it.id).collect();
    let rows = cases::of_mismatches(connection, &ids).await?;
    let told = rows.into_iter().map(|(row, class)| {
        let (id, opening) = (row.id, row.opening_id.map(OpeningId));
        let mut data = serde_json::to_value(Case::of(row, false)).unwrap_or_default();
        data["class"] = json!(class);
        event(EventType::CaseOpened, id, opening, &data)
    });
    emit(connection, sinks, &told.collect::<Vec<_>>(), now).await
}

fn event(kind: EventType, subject: Uuid, opening_id: Option<OpeningId>, data: &Value) -> NewEvent {
    NewEvent { id: effect_of(subject, kind.as_str()), opening_id, subject, kind, version: 0, data: data.to_string() }
}

async fn emit(connection: &mut PgConnection, sinks: &[String], told: &[NewEvent], now: Time) -> sqlx::Result<()> {
    let work: Vec<NewWork> = told.iter().flat_map(|it| it.deliveries(sinks)).collect();
    outbox::insert(connection, &work, now).await?;
    events::insert(connection, told, now).await
}
