//! A tracker that was configured and is not any more. (P15, P21)

use chrono::TimeDelta;
use serde_json::json;

use super::{silent, tracking, undone};
use crate::support::TestApp;

/// The setting is taken away and the service started again; what was written for the tracker stands in the outbox.
fn unset(app: &mut TestApp) {
    app.context.outside.tracker = None;
    app.context.cell.effect_context.tracker = false;
}

/// G15: work for a tracker that was unset waits for a replica that has one, and no longer than an outage is waited out.
#[tokio::test]
async fn work_for_a_tracker_that_was_unset_is_cancelled_after_retry_for() {
    let mut app = tracking().start().await;
    let id = silent(&app).await;
    app.context.outside.tracker = None;
    app.settle().await;
    unset(&mut app);
    assert_eq!(app.opening(&id).await["state"], "escalated");
    app.pass_settling(TimeDelta::hours(23), TimeDelta::hours(1)).await;
    assert_eq!(undone(&app).await, [("open_ticket".to_owned(), "pending".to_owned())]);
    app.pass_settling(TimeDelta::hours(1), TimeDelta::hours(1)).await;
    assert_eq!(undone(&app).await, [("open_ticket".to_owned(), "cancelled".to_owned())]);
    let timeline = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    assert!(timeline.iter().any(|it| it.to_string().contains("no_tracker")), "{timeline:?}");
    // The ticket itself stays open here.
    assert_eq!(app.items("/v1/tickets").await[0]["status"], json!("open"));
    app.finish().await;
}
