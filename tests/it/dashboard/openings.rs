//! The list with its filters and its CSV, the search, and a person's own sessions.

use reqwest::Method;

use super::{OPERATOR, READER, Visitor, location, recorded_acts};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";

/// The openings on a page of the list, in its order.
fn listed(page: &str) -> Vec<String> {
    let table = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    table.split("href=\"/openings/").skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_list_has_filters_in_its_address_and_goes_on_by_key() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let market = if n % 2 == 0 { "BE" } else { "NL" };
        ids.push(app.open().market(market).customer(&format!("cus_{n}")).start().await);
    }
    app.settle().await;
    ids.reverse();
    let visitor = Visitor::signed_in(&app, READER).await;
    assert_eq!(listed(&visitor.page("/openings").await), ids);
    // A form of filters sends its empty fields too.
    let filtered = visitor.page("/openings?status=&state=awaiting_provider&customer_type=&market=NL").await;
    assert_eq!(listed(&filtered), [ids[1].clone(), ids[3].clone()]);
    assert!(filtered.contains("<option selected>awaiting_provider</option>"));
    assert_eq!(listed(&visitor.page("/openings?customer_type=individual").await), [] as [&str; 0]);
    assert_eq!(listed(&visitor.page("/openings?customer_reference=cus_4").await), ids[..1]);
    let (mut all, mut path) = (Vec::new(), "/openings?limit=2&state=awaiting_provider".to_owned());
    loop {
        let page = visitor.page(&path).await;
        all.extend(listed(&page));
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        path = next.split('"').next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(all, ids);
    for wrong in ["state=x", "market=Belgium", "cursor=~", "limit=0"] {
        assert_eq!(visitor.get(&format!("/openings?{wrong}")).await.status(), 422, "{wrong}");
    }
    assert_eq!(app.items("/v1/account-openings?customer_type=company").await.len(), 5);
    app.finish().await;
}

#[tokio::test]
async fn the_csv_has_the_lists_filters_is_recorded_and_is_refused_to_other_sites() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().customer("=cmd|' /C calc'!A0").waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    app.open().market("NL").start().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let answer = visitor.get("/openings.csv?market=BE").await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let csv = answer.text().await.unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with(&format!("{id},'=cmd|")), "{csv}");
    assert!(!csv.contains(IBAN) && !csv.contains("Acme"), "{csv}");
    for site in ["cross-site", "same-site"] {
        let request = visitor.request(Method::GET, "/openings.csv").header("sec-fetch-site", site);
        assert_eq!(request.send().await.unwrap().status(), 403);
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in", "export"]);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn one_box_finds_an_opening_by_all_that_names_it() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().customer("cus_of_search").waiting().await;
    app.webhook().id("msg_of_search").completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    for text in [id.as_str(), "cus_of_search", &reference, IBAN, "be68 5390 0754 7034", "msg_of_search"] {
        let answer = visitor.post("/search", &[("q", text)]).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("/openings/{id}").as_str()), "{text}");
    }
    let nothing = visitor.post("/search", &[("q", "nothing'; drop table sessions; --")]).await;
    assert_eq!(nothing.status(), 200);
    assert!(nothing.text().await.unwrap().contains("Nothing is known"));
    assert_eq!(visitor.post("/search", &[("q", "a\u{0}")]).await.status(), 422);
    app.finish().await;
}

#[tokio::test]
async fn a_person_ends_their_own_sessions_and_no_others() {
    let app = TestApp::start().await;
    let (here, there) = (Visitor::signed_in(&app, OPERATOR).await, Visitor::signed_in(&app, OPERATOR).await);
    let other = Visitor::signed_in(&app, READER).await;
    let page = here.page("/account").await;
    let ends: Vec<&str> =
        page.split("action=\"").filter_map(|it| it.split('"').next()).filter(|it| it.ends_with("/end")).collect();
    assert_eq!(ends.len(), 2);
    // The newest comes first: that of `there`.
    assert_eq!(other.post(ends[0], &[]).await.status(), 303);
    assert_eq!(there.get("/openings").await.status(), 200, "another person ends nothing");
    assert_eq!(here.post(ends[0], &[]).await.status(), 303);
    assert_eq!(there.get("/openings").await.status(), 303);
    assert_eq!(here.get("/openings").await.status(), 200);
    assert_eq!(recorded_acts(&app).await, ["sign_in", "sign_in", "sign_in", "end_session"]);
    app.finish().await;
}
