//! Floods of facts about one opening, one market, or no opening at all.

use serde_json::json;

use super::{FLOOD, IBAN, OTHER_IBAN, batch, flood, lanes, waiting};
use crate::support::TestApp;

/// P8: nor does it come out of order: of two answers that contradict each other, the first that was sent stays.
#[tokio::test(flavor = "multi_thread")]
async fn one_openings_flood_delays_no_other_of_its_market() {
    let app = TestApp::start().await;
    let (hot, its_tracking_id) = app.open().market("BE").waiting().await;
    let (other, tracking_id) = app.open().market("BE").waiting().await;
    flood(&app, std::slice::from_ref(&its_tracking_id), FLOOD).await;
    app.webhook().completed(&its_tracking_id, OTHER_IBAN).acknowledged().await;
    app.webhook()
        .data(json!({"account_opening_request_id": its_tracking_id, "status": "REJECTED"}))
        .acknowledged()
        .await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;

    let lanes = lanes(&app).await;
    let [(market, few), (lane, many)] = lanes.as_slice() else { panic!("{lanes:?}") };
    assert!(market == "BE" && *few < 40 && lane.starts_with("hot/") && *many > 1_900, "{lanes:?}");

    batch(&app).await;
    batch(&app).await;
    assert_eq!(app.opening(&other).await["status"], "succeeded", "decided within two batches");
    assert!(waiting(&app).await > 1_000, "while nearly all of the flood waits");
    while waiting(&app).await > 0 {
        batch(&app).await;
        let overtaken: bool = sqlx::query_scalar(
            "select exists (select from inbox settled join inbox older using (opening_id)
                             where settled.status <> 'pending' and older.status = 'pending' and older.id < settled.id)",
        )
        .fetch_one(&app.pool)
        .await
        .unwrap();
        assert!(!overtaken, "an opening's facts are decided in the order of receipt");
    }
    let opening = app.opening(&hot).await;
    assert_eq!((&opening["status"], &opening["iban"]), (&json!("succeeded"), &json!(OTHER_IBAN)), "{opening}");
    let cases = app.items("/v1/cases").await;
    assert_eq!(cases.len(), 1, "{cases:?}");
    let recorded: i64 =
        sqlx::query_scalar("select count(*) from inbox where outcome = 'recorded'").fetch_one(&app.pool).await.unwrap();
    assert_eq!(recorded, FLOOD as i64, "every one of the flood was read");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_markets_flood_delays_no_other_market() {
    let app = TestApp::start().await;
    let mut flooding = Vec::new();
    for _ in 0..80 {
        flooding.push(app.open().market("DE").start().await);
    }
    let other = app.open().market("NL").start().await;
    app.settle().await;
    let tracking_id = async |id: &str| app.opening(id).await["provider_reference"].as_str().unwrap().to_owned();
    let mut tracking_ids = Vec::new();
    for id in &flooding {
        tracking_ids.push(tracking_id(id).await);
    }
    flood(&app, &tracking_ids, FLOOD).await;
    // The insert finds the lane, so that a replica that has decided nothing about the opening finds it too.
    let replica = app.replica().await;
    app.webhook().status(&tracking_id(&other).await, "IN_PROGRESS").to(&replica).acknowledged().await;
    app.webhook().completed(&tracking_id(&other).await, IBAN).acknowledged().await;
    assert_eq!(lanes(&app).await, [("DE".to_owned(), FLOOD as i64), ("NL".to_owned(), 2)]);

    let decided = batch(&app).await;
    assert_eq!(app.opening(&other).await["status"], "succeeded", "decided in the next batch");
    assert_eq!(
        decided.claimed,
        2 + 32,
        "both facts of NL, and of DE its share of 64 places for two lanes: {decided:?}"
    );
    assert!(waiting(&app).await > 1_000);
    app.finish().await;
}

/// Neither does what is about nothing that we know: all of it waits in a lane of its own, and is put off.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_about_unknown_openings_delays_no_known_one() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().market("FR").waiting().await;
    let strangers: Vec<String> = (0..FLOOD).map(|n| format!("aor_of_nobody_{n}")).collect();
    flood(&app, &strangers, FLOOD).await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    assert_eq!(lanes(&app).await, [(String::new(), FLOOD as i64), ("FR".to_owned(), 1)]);
    batch(&app).await;
    assert_eq!(app.opening(&id).await["status"], "succeeded", "decided in the next batch");
    app.finish().await;
}

/// Memory is bounded: a batch takes at most 8 MiB of large bodies, and the rest is decided after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_large_bodies_is_a_small_one() {
    const LARGE: usize = 250_000;
    const MESSAGES: usize = 60;
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for n in 0..MESSAGES {
        let data =
            json!({"account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "n": n, "x": "x".repeat(LARGE)});
        app.webhook().data(data).acknowledged().await;
    }
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    // With the one that goes beyond it, and the small one.
    let fit = (8 * 1_024 * 1_024 / LARGE + 2) as u64;
    let claimed = batch(&app).await.claimed;
    assert!((fit - 2..=fit).contains(&claimed), "{claimed}");
    assert_eq!(claimed + batch(&app).await.claimed, MESSAGES as u64 + 1);
    assert_eq!(app.opening(&id).await["status"], "succeeded");
    app.finish().await;
}
