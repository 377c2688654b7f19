//! The wait of a caller on the synchronous flow: until the opening is decided, and at most `SYNC_WAIT`.
//!
//! The anchor and its key are committed before it, so that nothing depends on it: the key says until when somebody waits.
//! Whoever settles the key first, the waiting caller or, when the time has passed, a repeat, gives the answer that every
//! later repeat is given. A crash of the waiting process leaves that to the repeat.

use axum::http::StatusCode;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::lookout::LOOK;
use crate::clock::Time;
use crate::db::idempotency::{self, Answer, Key};
use crate::db::openings;
use crate::domain::resource::Resource;
use crate::domain::{Opening, OpeningId, Status};
use crate::http::AppState;

/// Waits for the decision. A service that stops keeps nobody waiting.
pub async fn wait(state: &AppState, id: OpeningId, until: Time) {
    tokio::select! {
        () = state.lookout.decided(id) => {}
        () = time_is_up(state, until) => {}
        () = state.stopping.cancelled() => {}
    }
}

/// By the clock, which is what repeats go by; and by the time that passes, should the clock be set back.
async fn time_is_up(state: &AppState, until: Time) {
    let latest = Instant::now() + state.settings.sync_wait;
    loop {
        let by_clock = (until - state.clock.now()).to_std().unwrap_or_default();
        let left = by_clock.min(latest.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}

/// Answers with what stands now, unless somebody has before: then with that.
///
/// # Errors
/// When the database is away.
pub async fn conclude(connection: &mut PgConnection, key: Key<'_>, held: Answer, now: Time) -> sqlx::Result<Answer> {
    let id = OpeningId(held.opening_id);
    let Some(opening) = openings::get(connection, id).await? else { return Ok(held) };
    let (status, body) = told(&opening);
    idempotency::settle(connection, key, id.0, (status, &body)).await?;
    let stands = idempotency::get(connection, key, now).await?;
    // A key that has expired meanwhile may be somebody else's.
    let ours = stands.filter(|it| it.opening_id == id.0 && it.waits_until.is_none());
    Ok(ours.unwrap_or(Answer { status, body, waits_until: None, ..held }))
}

fn told(opening: &Opening) -> (i32, String) {
    let status = match opening.state_name().status() {
        Status::Succeeded => StatusCode::CREATED,
        Status::Rejected | Status::Failed => StatusCode::OK,
        Status::InProgress => StatusCode::ACCEPTED,
    };
    (i32::from(status.as_u16()), serde_json::to_string(&Resource::from(opening)).unwrap_or_default())
}
