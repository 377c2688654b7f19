//! `/help`: each alert leads to its part of the runbook.

use super::{READER, Visitor};
use crate::support::TestApp;

#[tokio::test]
async fn each_alert_has_its_anchor_and_the_words_and_states_stand_beside() {
    let app = TestApp::start().await;
    let page = Visitor::signed_in(&app, READER).await.page("/help").await;
    let alerts = include_str!("../../../ops/prometheus/alerts.yaml");
    let anchors: Vec<&str> =
        alerts.lines().filter_map(|it| it.split_once("docs/OPERATIONS.md#")).map(|(_, it)| it).collect();
    assert!(anchors.len() > 10, "{anchors:?}");
    for anchor in anchors {
        assert!(page.contains(&format!("id=\"{anchor}\"")), "{anchor}");
    }
    for part in ["dead letter", "awaiting provider", "<svg class=\"diagram\"", "id=\"words-dashboard\""] {
        assert!(page.contains(part), "{part}");
    }
    app.finish().await;
}
