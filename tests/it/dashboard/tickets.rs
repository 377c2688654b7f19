//! `/tickets`.

use chrono::TimeDelta;
use serde_json::json;
use world::{Fault, Plan};

use super::{OPERATOR, READER, Visitor, pages};
use crate::support::TestApp;

#[tokio::test]
async fn tickets_have_their_age_the_issue_at_the_tracker_and_what_closed_them() {
    let app = TestApp::with().tracker().start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let plan = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
        ids.push(app.open().plan(plan).start().await);
        app.settle().await;
    }
    app.pass_settling(TimeDelta::minutes(95), TimeDelta::minutes(5)).await;
    let body = json!({"outcome": "failed", "reason": "<b>the customer</b> left", "evidence": "a call"});
    assert_eq!(app.post(&format!("/v1/account-openings/{}/resolve", ids[0]), &body).await.0, 202);
    app.pass_settling(TimeDelta::minutes(5), TimeDelta::minutes(5)).await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/tickets").await;
    let tickets = app.items("/v1/tickets").await;
    for ticket in &tickets {
        let row = page.split(&format!("<tr id={}", ticket["id"])).nth(1).unwrap().split("</tr>").next().unwrap();
        assert!(row.contains(&format!("href=\"/openings/{}\"", ticket["opening_id"].as_str().unwrap())), "{row}");
        let (key, url) = (ticket["tracker_key"].as_str().unwrap(), ticket["tracker_url"].as_str().unwrap());
        assert!(row.contains(&format!("href=\"{url}\" rel=\"noreferrer\"><bdi>{key}</bdi>")), "{row}");
        let is_open = ticket["status"] == "open";
        assert_eq!(row.contains("1 h "), is_open, "{row}");
        assert!(is_open || row.contains(&ticket["updated_at"].as_str().unwrap()[..19]), "{row}");
    }
    assert!(page.contains(r#"aria-current="page">Tickets"#) && !page.contains("<b>the"));
    let open = visitor.page("/tickets?status=open").await;
    assert_eq!(open.matches("<tr id=").count(), 2);
    assert!(open.contains("<option selected>open</option>"));
    assert_eq!(visitor.page(&format!("/tickets?opening_id={}", ids[0])).await.matches("<tr id=").count(), 1);
    let all = pages(&visitor, "/tickets?limit=1&status=").await;
    assert_eq!((all.len(), all.concat().matches("<tr id=").count()), (3, 3));
    for wrong in ["status=x", "opening_id=1", "cursor=~"] {
        assert_eq!(visitor.get(&format!("/tickets?{wrong}")).await.status(), 422, "{wrong}");
    }
    let names = "update tickets set summary = 'Acme BV waits', reason = 'said Acme BV'";
    sqlx::query(names).execute(&app.pool).await.unwrap();
    let operators = Visitor::signed_in(&app, OPERATOR).await.page("/tickets").await;
    assert_eq!((operators.matches("<tr id=").count(), operators.matches("Acme BV").count()), (3, 4));
    let readers = visitor.page("/tickets").await;
    assert!(
        !readers.contains("Acme") && readers.contains("A… B… waits") && readers.contains("said A… B…"),
        "{readers}"
    );
    app.finish().await;
}
