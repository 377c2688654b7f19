//! The first page: what waits for a person, with its oldest, and the day by hours.

use chrono::TimeDelta;
use serde_json::json;
use world::{Fault, Plan};

use super::{READER, Visitor};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";
const NAMES: [&str; 10] = [
    "escalated",
    "tickets",
    "cases",
    "dead_letters",
    "unmatched",
    "refused",
    "breakers",
    "silent_markets",
    "reports",
    "mismatches",
];

/// The counts of the page that are not zero, in its order.
fn counts(page: &str) -> Vec<(String, String)> {
    let all: Vec<(String, String)> = page
        .split("data-count=\"")
        .skip(1)
        .map(|it| {
            let (name, rest) = it.split_once("\">").unwrap();
            (name.to_owned(), rest.split('<').next().unwrap().to_owned())
        })
        .collect();
    let mut names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let mut expected = NAMES;
    expected.sort_unstable();
    assert_eq!(names, expected);
    all.into_iter().filter(|(_, count)| count != "0").collect()
}

/// The row of a count.
fn row<'a>(page: &'a str, name: &str) -> &'a str {
    let at = page.find(&format!("data-count=\"{name}\"")).unwrap();
    &page[page[..at].rfind("<tr").unwrap()..at + page[at..].find("</tr>").unwrap()]
}

fn long(raw: &mut account_opening::config::RawSettings) {
    raw.dashboard.session_idle = "2d".to_owned();
    raw.dashboard.session_max = "2d".to_owned();
}

#[tokio::test]
async fn waiting_inside_its_time_is_no_problem_and_silence_of_an_hour_is_one() {
    let app = TestApp::with().settings(long).start().await;
    app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/").await;
    assert_eq!(counts(&page), []);
    assert!(page.contains("Nothing. Openings that wait inside their time"));
    app.pass_settling(TimeDelta::minutes(59), TimeDelta::minutes(30)).await;
    assert_eq!(counts(&visitor.page("/").await), []);
    app.pass_settling(TimeDelta::minutes(3), TimeDelta::minutes(3)).await;
    let page = visitor.page("/").await;
    assert_eq!(counts(&page), [("silent_markets".to_owned(), "1".to_owned())]);
    assert!(row(&page, "silent_markets").contains("nexusbank BE"), "{}", row(&page, "silent_markets"));
    app.finish().await;
}

#[tokio::test]
async fn work_for_people_is_counted_with_its_oldest_and_linked() {
    let app = TestApp::with().settings(long).start().await;
    let (_, _) = app.open().waiting().await;
    app.pass_settling(TimeDelta::hours(13), TimeDelta::minutes(30)).await;
    let (id, reference) = app.open().market("NL").waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    app.webhook().completed(&reference, OTHER_IBAN).acknowledged().await;
    let refused = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    app.open().market("NL").plan(refused).start().await;
    app.webhook().status("aor_nowhere", "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    assert_eq!(app.webhook().header("webhook-signature", "v1,bm8=").status(&reference, "X").answered().await, 401);
    crate::support::eventually("it is kept", async || {
        (app.items("/v1/rejected-requests").await.len() == 1).then_some(())
    })
    .await;
    let body = json!({"forced": "open", "reason": "maintenance <b>"});
    let force = app.request(reqwest::Method::PUT, "/v1/breakers/cards/issue").json(&body).send().await.unwrap();
    assert_eq!(force.status(), 200);
    let page = Visitor::signed_in(&app, READER).await.page("/").await;
    let expected = [
        ("escalated", "1"),
        ("tickets", "2"),
        ("cases", "1"),
        ("dead_letters", "1"),
        ("refused", "1"),
        ("breakers", "1"),
    ];
    assert_eq!(counts(&page), expected.map(|(name, count)| (name.to_owned(), count.to_owned())));
    for (name, href) in [
        ("escalated", "/openings?state=escalated"),
        ("dead_letters", "/dead-letters?queue=outbox&#38;cause=rejected"),
        ("breakers", "/providers"),
        ("refused", "/refused"),
    ] {
        let row = row(&page, name);
        assert!(row.contains(&format!("href=\"{href}\"")) && row.contains("<time datetime"), "{name}: {row}");
    }
    // The day by hours: the webhook's answer, and the openings by what became of them.
    let charts = page.split("id=\"charts\"").nth(1).unwrap();
    assert!(
        charts.contains("fill-good") && charts.contains("1 in 24 hours") && charts.contains("3 in 24 hours"),
        "{charts}"
    );
    let _ = id;
    let body = json!({"forced": null, "reason": "done"});
    app.request(reqwest::Method::PUT, "/v1/breakers/cards/issue").json(&body).send().await.unwrap();
    app.finish().await;
}
