//! Errors are pages, REST's paths stay REST's, and a database that is away takes nothing from a person who is signed in.

use std::time::{Duration, Instant};

use chaos::{Cut, Link};
use reqwest::Method;

use super::{OPERATOR, Visitor, has_the_headers_of_a_page, location, recorded_acts};
use crate::support::{TOKEN, TestApp, cluster, eventually, problem};

const NOWHERE: &str = "01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e";

#[tokio::test]
async fn a_refusal_is_a_page_with_the_status_and_the_headers() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = format!("/openings/{id}");
    let large = "x".repeat(100_000);
    let same = |method, path: &str| visitor.request(method, path).header("sec-fetch-site", "same-origin");
    let poll = format!("{page}/poll");
    for (status, request) in [
        (404, same(Method::GET, "/nothing/here")),
        (404, same(Method::GET, &format!("/openings/{NOWHERE}"))),
        (404, same(Method::GET, "/openings/%00")),
        (404, same(Method::GET, "/openings/%ff")),
        (404, same(Method::GET, &format!("{page}/facts/%ff"))),
        (404, same(Method::GET, &format!("{page}/revealed/%ff"))),
        (404, same(Method::GET, "/providers/%ff/backfill")),
        (404, same(Method::GET, "/providers/nexusbank/breakers/%ff")),
        (404, same(Method::GET, "/assets/nothing.css")),
        (405, same(Method::DELETE, &page)),
        (405, same(Method::POST, &page)),
        (400, same(Method::GET, &format!("{page}?x=1"))),
        (422, same(Method::GET, &format!("{page}?cursor=~"))),
        (422, same(Method::POST, &poll).form(&[("expected_version", "3")])),
        (422, same(Method::POST, &poll).form(&[("form", NOWHERE)])),
        (422, same(Method::POST, &poll).form(&[("form", "x"), ("expected_version", "3")])),
        (422, same(Method::POST, &poll).form(&[("form", NOWHERE), ("form", NOWHERE), ("expected_version", "3")])),
        (400, same(Method::POST, &poll).form(&[("form", NOWHERE), ("expected_version", "3"), ("x", "y")])),
        (413, same(Method::POST, &poll).form(&[("reason", &large)])),
        (415, same(Method::POST, &poll).json(&serde_json::json!({"expected_version": 3}))),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{}", answer.url());
        if answer.url().path() != "/assets/nothing.css" {
            has_the_headers_of_a_page(answer.headers());
            assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{status}");
            let text = answer.text().await.unwrap();
            assert!(text.contains("<h1>") && text.contains("Sign out"), "{status}: {text}");
        }
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}

#[tokio::test]
async fn a_tampered_cursor_is_a_page_that_says_so_on_every_list() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let long = "A".repeat(5_000);
    let opening = format!("/openings/{id}");
    for path in [
        opening.as_str(),
        "/openings",
        "/cases",
        "/tickets",
        "/dead-letters",
        "/refused",
        "/unmatched",
        "/reports",
        "/mismatches",
        "/ledger",
        "/acts",
    ] {
        for cursor in ["~", "%00", "%ff", "..%2f", "-1", "eyJhIjoxfQ", &long] {
            let answer = visitor.get(&format!("{path}?cursor={cursor}")).await;
            assert!([400, 422].contains(&answer.status().as_u16()), "{path} {cursor}: {}", answer.status());
            has_the_headers_of_a_page(answer.headers());
            assert!(answer.text().await.unwrap().contains("<h1>"), "{path} {cursor}");
        }
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}

#[tokio::test]
async fn a_program_that_asks_for_an_unknown_path_gets_rests_answer() {
    let app = TestApp::start().await;
    problem(app.client.get(format!("{}/nothing", app.internal)).send().await.unwrap(), 401, "unauthenticated").await;
    problem(app.request(Method::GET, "/nothing").send().await.unwrap(), 404, "not-found").await;
    let browser = Visitor::new(&app);
    problem(browser.get("/v1/nothing").await, 401, "unauthenticated").await;
    assert_eq!(location(&browser.get("/nothing").await), "/login?next=/nothing");
    app.finish().await;
}

#[tokio::test]
async fn the_path_of_the_url_is_the_prefix_of_every_page_and_link() {
    let url = "https://ops.example/desk";
    let app = TestApp::with().settings(|raw| raw.dashboard_url = url.to_owned()).start().await;
    let id = app.open().start().await;
    let mut visitor = Visitor::new(&app);
    let link = format!("/desk/openings/{id}");
    assert_eq!(location(&visitor.get(&link).await), format!("/desk/login?next={link}"));
    let answer = visitor.post("/desk/login", &[("token", TOKEN), ("next", &link)]).await;
    assert_eq!(location(&answer), link);
    visitor.cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().map(str::to_owned);
    let page = visitor.page(&link).await;
    for part in page.split("=\"/").skip(1) {
        assert!(part.starts_with("desk/") || part.starts_with("desk\""), "{part}");
    }
    assert_eq!(location(&visitor.get("/desk/").await), "/desk");
    let style = page.split("href=\"").find(|it| it.contains(".css")).unwrap().split('"').next().unwrap().to_owned();
    let style = visitor.get(&style).await;
    assert_eq!(style.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(visitor.get("/desk/nothing").await.status(), 404);
    // Outside the prefix all is REST's.
    problem(visitor.get(&format!("/openings/{id}")).await, 401, "unauthenticated").await;
    app.finish().await;
}

#[tokio::test]
async fn without_the_database_a_page_says_so_within_five_seconds_and_is_back_by_itself() {
    let app = TestApp::with().through_proxy().start().await;
    let id = app.open().start().await;
    let visitor = Visitor::signed_in(&app, TOKEN).await;
    let page = format!("/openings/{id}");
    let proxy = app.proxy.as_ref().unwrap();
    proxy.lead_to(Link::Port("127.0.0.1:9".parse().unwrap()));
    proxy.cut(Cut::Both);
    let act = format!("{page}/poll");
    for (method, path) in [
        (Method::GET, page.as_str()),
        (Method::GET, "/"),
        (Method::GET, "/openings.csv"),
        (Method::GET, "/login"),
        (Method::POST, &act),
    ] {
        let started = Instant::now();
        let request = visitor.request(method, path).header("sec-fetch-site", "same-origin").form(&[("version", "1")]);
        let answer = request.send().await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(answer.status(), 503, "{path}");
        assert!(answer.headers().contains_key("retry-after"));
        has_the_headers_of_a_page(answer.headers());
        assert!(answer.text().await.unwrap().contains("database"));
    }
    proxy.lead_to(cluster::link_of(&app.pool.connect_options()));
    eventually("the page is back", async || (visitor.get(&page).await.status() == 200).then_some(())).await;
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}
