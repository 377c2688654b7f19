//! `/cases` and `/cases/{id}`.

use serde_json::Value;

use super::{OPERATOR, READER, Visitor, links, location, pages, read_only, recorded_acts};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const OTHER: &str = "BE71096123456769";

/// An opening that is open with one account and was then told to have another one.
async fn conflicting(app: &TestApp) -> (String, String) {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    app.webhook().completed(&reference, OTHER).acknowledged().await;
    app.settle().await;
    let cases = app.items(&format!("/v1/cases?opening_id={id}")).await;
    assert_eq!(cases.len(), 1);
    (id, cases[0]["id"].as_str().unwrap().to_owned())
}

fn row<'a>(page: &'a str, field: &str) -> &'a str {
    page.split(&format!("<tr data-field=\"{field}\"")).nth(1).unwrap().split("</tr>").next().unwrap()
}

#[tokio::test]
async fn a_case_shows_both_sides_what_differs_and_what_to_do() {
    let app = TestApp::start().await;
    let (id, case) = conflicting(&app).await;
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    let page = operator.page(&format!("/cases/{case}")).await;
    let iban = row(&page, "iban");
    assert!(iban.starts_with(" data-differs") && iban.contains(IBAN) && iban.contains(OTHER), "{iban}");
    assert!(["bic", "status"].iter().all(|it| !row(&page, it).starts_with(" data-differs")), "nothing else is marked");
    assert!(
        page.contains(r#"data-class="conflicting_answer""#) && page.contains("Ask the bank which of its two answers")
    );
    assert!(page.contains(&format!("href=\"/openings/{id}\"")));
    // The evidence is the message, whole.
    let fact = page.split(&format!("/openings/{id}/facts/")).nth(1).unwrap().split('"').next().unwrap();
    assert!(operator.page(&format!("/openings/{id}/facts/{fact}")).await.contains(OTHER));
    let reader = Visitor::signed_in(&app, READER).await;
    let page = reader.page(&format!("/cases/{case}")).await;
    let iban = row(&page, "iban");
    assert!(iban.contains("BE68 •••• •••• 7034") && iban.contains("BE71 •••• •••• 6769"), "{iban}");
    assert!(!page.contains(IBAN) && !page.contains(OTHER) && !page.contains("/facts/"), "{page}");
    assert!(links(&page, "resolve_case").is_empty() && !page.contains("data-act"));
    let timeline = reader.page(&format!("/openings/{id}")).await;
    assert!(
        timeline.contains(&format!("<span class=\"kind\"><a href=\"/cases/{case}\">case</a>")),
        "its timeline leads to it"
    );
    for path in ["/cases/x", &format!("/cases/{id}")] {
        assert_eq!(reader.get(path).await.status(), 404);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_case_is_resolved_one_time_from_its_page_and_the_way_back_is_its_page() {
    let app = TestApp::start().await;
    let (_, case) = conflicting(&app).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = format!("/cases/{case}");
    let page = visitor.page(&path).await;
    let link = links(&page, "resolve_case")[0];
    let form = visitor.page(link).await;
    assert!(form.contains(&format!("<a href=\"{path}\">Back</a>")));
    let missing = visitor.act(&form, "resolve_case", &[]).await;
    assert_eq!(missing.status(), 422);
    assert!(missing.text().await.unwrap().contains("Reason is required"));
    for _ in 0..2 {
        let answer = visitor.act(&form, "resolve_case", &[("reason", "the <first> holds")]).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("{path}#done-resolve_case").as_str()));
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in", "resolve_case"]);
    let page = visitor.page(&path).await;
    assert!(
        page.contains("the &#60;first&#62; holds") && page.contains("disabled aria-describedby=\"why-1\""),
        "{page}"
    );
    // The page of the act still leads back to the case when it is resolved.
    assert!(visitor.page(link).await.contains(&format!("<a href=\"{path}\">Back</a>")));
    let mut quiet = Visitor::at(&read_only(&app).await);
    quiet.sign_in(OPERATOR, "").await;
    assert!(!quiet.page(&path).await.contains("data-act"));
    assert_eq!(quiet.get(link).await.status(), 403);
    app.finish().await;
}

#[tokio::test]
async fn cases_are_listed_as_rest_lists_them() {
    let app = TestApp::start().await;
    let mut cases = Vec::new();
    for (n, iban) in ["BE68539007547034", "BE71096123456769", "BE43068999999501"].into_iter().enumerate() {
        let (_, reference) = app.open().customer(&format!("cus_{n}")).waiting().await;
        app.webhook().completed(&reference, iban).acknowledged().await;
        app.webhook()
            .data(serde_json::json!({"account_opening_request_id": reference, "status": "REJECTED"}))
            .acknowledged()
            .await;
        app.settle().await;
    }
    let rests: Vec<Value> = app.items("/v1/cases").await;
    cases.extend(rests.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
    assert_eq!(cases.len(), 3);
    let visitor = Visitor::signed_in(&app, READER).await;
    let listed = |page: &str| -> Vec<String> {
        page.split("scope=\"row\"><a href=\"/cases/").skip(1).map(|it| it[..36].to_owned()).collect()
    };
    assert_eq!(listed(&visitor.page("/cases").await), cases);
    let paged: Vec<String> =
        pages(&visitor, "/cases?limit=1&status=open&kind=").await.iter().flat_map(|it| listed(it)).collect();
    assert_eq!(paged, cases);
    assert_eq!(listed(&visitor.page("/cases?kind=second_card").await), [] as [&str; 0]);
    assert_eq!(listed(&visitor.page("/cases?status=resolved").await), [] as [&str; 0]);
    assert_eq!(visitor.get("/cases?status=x").await.status(), 422);
    app.finish().await;
}
