//! Whole journeys over HTTP, from the request to the card.

use account_opening::simulator::{Endpoint, Verdict};

use crate::support::TestApp;

#[tokio::test]
async fn a_clean_journey_ends_with_a_card() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().market("BE").waiting().await;
    app.world.decide(&tracking_id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["status"]), (&"completed".into(), &"succeeded".into()), "{opening}");
    assert_eq!(opening["iban"].as_str(), app.world.opening(&id).unwrap().iban());
    assert_eq!(
        app.history(&id).await,
        [
            "start -> creating_profile (started, api)",
            "creating_profile -> requesting_account (profile_created, command)",
            "requesting_account -> awaiting_provider (submission_accepted, command)",
            "awaiting_provider -> issuing_card (provider_reported, webhook)",
            "issuing_card -> completed (card_issued, command)",
        ]
    );
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 0);
    app.finish().await;
}
