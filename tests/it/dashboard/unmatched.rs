//! `/unmatched`.

use chrono::TimeDelta;

use super::{READER, Visitor, pages};
use crate::support::TestApp;

#[tokio::test]
async fn facts_without_an_opening_say_until_when_they_wait() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    assert!(visitor.page("/unmatched").await.contains("Every fact matches an opening"));
    app.webhook().status("aor_<b>1", "IN_PROGRESS").acknowledged().await;
    app.webhook().status("aor_2", "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    let page = visitor.page("/unmatched").await;
    assert!(page.contains("aor_&#60;b&#62;1") && !page.contains("aor_<b>"), "{page}");
    assert_eq!(page.matches(r#"<time datetime="2026-01-02T00:00:00Z">"#).count(), 2, "PARKED_TTL after their receipt");
    assert_eq!(pages(&visitor, "/unmatched?limit=1").await.len(), 2);
    let count = async |visitor: &Visitor| {
        let page = visitor.page("/").await;
        page.split("data-count=\"unmatched\">").nth(1).unwrap().split('<').next().unwrap().to_owned()
    };
    assert!(page.contains("No fact has waited longer than that") && page.contains("waits"), "{page}");
    assert_eq!(count(&visitor).await, "0", "waiting inside its time is no problem");
    // Their time is over, and no worker has looked at them since.
    app.pass(TimeDelta::hours(24));
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/unmatched").await;
    assert!(page.contains("for a person to decide: <strong>2</strong>"), "{page}");
    assert_eq!((page.matches("its time is over").count(), count(&visitor).await.as_str()), (2, "2"));
    app.pass_settling(TimeDelta::hours(25), TimeDelta::hours(1)).await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/unmatched").await;
    assert!(
        page.contains("for a person to decide: <strong>2</strong>") && page.matches("dead letter").count() > 2,
        "{page}"
    );
    assert_eq!(count(&visitor).await, "2", "they are dead letters");
    let letter = app.items("/v1/unmatched-facts").await[0]["id"].as_str().unwrap().to_owned();
    assert!(page.contains(&format!("href=\"/dead-letters/{letter}\"")), "{page}");
    assert!(visitor.page(&format!("/dead-letters/{letter}")).await.contains("no matching opening"));
    app.finish().await;
}
