//! `/acts`: what people did and why; exports are recorded as they were asked for, and only when rows were handed out.

use reqwest::Method;
use serde_json::{Value, json};

use super::{OPERATOR, READER, Visitor, recorded_acts};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";

async fn last_detail(app: &TestApp) -> Value {
    app.get("/v1/operator-actions?limit=1").await["items"][0]["detail"].clone()
}

#[tokio::test]
async fn acts_are_listed_with_filters_and_readers_see_no_customer() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let body = json!({"reason": "Acme asked, ops@acme.example, BE68 5390 0754 7034 <b>"});
    let polled =
        app.request(Method::POST, &format!("/v1/account-openings/{id}/poll")).json(&body).send().await.unwrap();
    assert_eq!(polled.status(), 202);
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    let page = operator.page("/acts").await;
    assert!(page.contains("<bdi>Acme asked, ops@acme.example, BE68 5390 0754 7034 &#60;b&#62;</bdi>"), "{page}");
    assert!(page.contains(&format!("href=\"/openings/{id}\"")) && page.contains("sign in"));
    let reader = Visitor::signed_in(&app, READER).await;
    for path in ["/acts", "/acts.csv"] {
        let page = reader.get(path).await.text().await.unwrap();
        assert!(page.contains("A… asked, o…@acme.example, BE68 •••• •••• 7034"), "{page}");
        for hidden in ["Acme", "ops@", "5390 0754"] {
            assert!(!page.contains(hidden), "{hidden} in {path}");
        }
    }
    let rows = |page: &str| page.matches("<tr>").count() - 1;
    assert_eq!(rows(&reader.page("/acts?action=poll&who=&opening_id=").await), 1);
    assert_eq!(rows(&reader.page("/acts?who=reader").await), 2, "its sign-in and its export");
    assert_eq!(rows(&reader.page(&format!("/acts?opening_id={id}")).await), 1);
    let first = reader.page("/acts?limit=1&who=reader").await;
    let next = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    assert!(next.starts_with("/acts?limit=1&who=reader&cursor=") && rows(&reader.page(&next).await) == 1, "{next}");
    assert_eq!(app.items("/v1/operator-actions?action=poll").await.len(), 1);
    assert_eq!(app.items("/v1/operator-actions?who=reader").await.len(), 2);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn an_export_is_recorded_in_plain_text_and_only_when_rows_were_handed_out() {
    let app = TestApp::start().await;
    app.open().customer("café 1").waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    for path in ["/openings.csv", "/acts.csv"] {
        assert_eq!(visitor.request(Method::HEAD, path).send().await.unwrap().status(), 405, "{path}");
        assert_eq!(visitor.get(&format!("{path}?x=1")).await.status(), 400);
        let foreign = visitor.request(Method::GET, path).header("sec-fetch-site", "cross-site");
        assert_eq!(foreign.send().await.unwrap().status(), 403);
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    let answer = visitor.get("/openings.csv?customer_reference=caf%C3%A9+1&market=").await;
    assert!(answer.text().await.unwrap().contains("café 1"));
    assert_eq!(last_detail(&app).await, json!({"filters": {"customer_reference": "café 1"}}));
    let answer = visitor.get("/acts.csv?action=export").await;
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"acts.csv\"");
    let text = answer.text().await.unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(recorded_acts(&app).await, ["sign_in", "export", "export"]);
    app.finish().await;
}

/// With a narrow filter a read finds nothing among the openings that it looks at; the export goes on.
#[tokio::test]
async fn an_export_with_a_narrow_filter_goes_on_to_the_oldest_opening() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    // More openings than 20 reads look at, all newer, none completed.
    let copies = "set session_replication_role = replica;
        insert into account_openings (id, market, customer_type, customer_reference, currency, flow, provider, state, deadline_at,
                                      version, head_hash, created_at, updated_at)
        select ('ffffffff-ffff-7fff-8fff-' || lpad(to_hex(n), 12, '0'))::uuid, market, customer_type, 'copy', currency, flow, provider,
               'creating_profile', deadline_at, 1, head_hash, created_at, updated_at
          from account_openings, generate_series(1, 210000) as n where state = 'completed';
        set session_replication_role = origin;
        analyze account_openings";
    sqlx::raw_sql(copies).execute(&app.pool).await.unwrap();
    let csv = Visitor::signed_in(&app, READER).await.get("/openings.csv?state=completed").await.text().await.unwrap();
    assert!(csv.contains(&id), "{csv}");
    let cleanup =
        "set session_replication_role = replica; delete from account_openings where customer_reference = 'copy';
        set session_replication_role = origin";
    sqlx::raw_sql(cleanup).execute(&app.pool).await.unwrap();
    app.finish().await;
}
