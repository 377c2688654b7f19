//! Sessions: how they end, on which replica they hold, and that REST and pages keep apart.

use chrono::TimeDelta;
use reqwest::Method;

use super::{OPERATOR, READER, Visitor, location, recorded_acts, replica, tokens};
use crate::support::{TOKEN, TestApp, problem};

/// Whether the visitor still sees pages.
async fn is_in(visitor: &Visitor, id: &str) -> bool {
    let answer = visitor.get(&format!("/openings/{id}")).await;
    match answer.status().as_u16() {
        200 => true,
        303 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_session_ends_after_thirty_idle_minutes_or_twelve_hours() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let idle = Visitor::signed_in(&app, READER).await;
    let busy = Visitor::signed_in(&app, READER).await;
    for _ in 0..24 {
        assert!(is_in(&busy, &id).await);
        app.pass(TimeDelta::minutes(29));
    }
    assert!(!is_in(&idle, &id).await);
    assert!(is_in(&busy, &id).await, "11:36");
    app.pass(TimeDelta::minutes(24));
    assert!(!is_in(&busy, &id).await, "12:00");
    app.settle().await;
    let left: i64 = sqlx::query_scalar("select count(*) from sessions").fetch_one(&app.pool).await.unwrap();
    assert_eq!(left, 0, "the sweeper deletes them");
    app.finish().await;
}

#[tokio::test]
async fn a_sign_out_holds_on_every_replica_at_once_and_is_recorded_once() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let here = Visitor::signed_in(&app, OPERATOR).await;
    let there = Visitor { cookie: here.cookie.clone(), ..Visitor::at(&replica(&app, &tokens()).await) };
    let other = Visitor::signed_in(&app, OPERATOR).await;
    assert!(is_in(&here, &id).await && is_in(&there, &id).await);
    for _ in 0..2 {
        let answer = here.post("/logout", &[]).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/login"));
        let set = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(set.starts_with("__Host-account-opening=;") && set.contains("Max-Age=0"), "{set}");
    }
    assert!(!is_in(&here, &id).await && !is_in(&there, &id).await);
    assert!(is_in(&other, &id).await, "another session of the same person");
    assert_eq!(recorded_acts(&app).await, ["sign_in", "sign_in", "sign_out"]);
    app.finish().await;
}

#[tokio::test]
async fn the_role_is_that_of_the_token_now_and_a_token_that_is_gone_ends_its_session() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let here = Visitor::signed_in(&app, OPERATOR).await;
    assert!(here.page(&format!("/openings/{id}")).await.contains(r#"data-act="poll""#));
    let lower = replica(&app, &format!("admin:{TOKEN},operator:{OPERATOR}:reader")).await;
    let lower = Visitor { cookie: here.cookie.clone(), ..Visitor::at(&lower) };
    assert!(!lower.page(&format!("/openings/{id}")).await.contains(r#"data-act="poll""#));
    // The name alone is not the token.
    let rotated = replica(&app, &format!("admin:{TOKEN},operator:another-token:operator")).await;
    let rotated = Visitor { cookie: here.cookie.clone(), ..Visitor::at(&rotated) };
    assert!(!is_in(&rotated, &id).await);
    assert!(!is_in(&here, &id).await, "it has ended for all");
    app.finish().await;
}

#[tokio::test]
async fn rest_never_looks_at_the_cookie_and_pages_never_at_a_bearer() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let visitor = Visitor::signed_in(&app, TOKEN).await;
    for path in ["/v1/account-openings".to_owned(), format!("/v1/account-openings/{id}"), "/v1/nothing".to_owned()] {
        problem(visitor.get(&path).await, 401, "unauthenticated").await;
    }
    let bearer = app.request(Method::GET, &format!("/openings/{id}"));
    let answer = Visitor::new(&app).client.execute(bearer.build().unwrap()).await.unwrap();
    assert_eq!(answer.status(), 303, "to the sign-in");
    app.finish().await;
}

#[tokio::test]
async fn forged_old_and_foreign_cookies_are_none() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let good = Visitor::signed_in(&app, TOKEN).await.cookie.unwrap();
    let (name, value) = good.split_once('=').unwrap();
    let flipped: String = value.chars().rev().collect();
    for cookie in [
        format!("{name}={flipped}"),
        format!("{name}="),
        format!("{name}=%00"),
        format!("account-opening={value}"),
        format!("{name}={}", "A".repeat(43)),
        format!("{name}={value}{value}"),
    ] {
        let visitor = Visitor { cookie: Some(cookie.clone()), ..Visitor::new(&app) };
        assert!(!is_in(&visitor, &id).await, "{cookie}");
    }
    app.finish().await;
}

#[tokio::test]
async fn read_only_shows_pages_and_does_nothing_and_off_has_no_page() {
    let app = TestApp::with().settings(|raw| raw.dashboard.dashboard = "read-only".to_owned()).start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, TOKEN).await;
    let page = visitor.page(&format!("/openings/{id}")).await;
    assert!(page.contains("read-only") && !page.contains(r#"data-act="poll""#));
    let answer = visitor.post(&format!("/openings/{id}/poll"), &[("expected_version", "3")]).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
    let app = TestApp::with().settings(|raw| raw.dashboard.dashboard = "off".to_owned()).start().await;
    for path in ["/", "/login", "/openings"] {
        problem(Visitor::new(&app).get(path).await, 401, "unauthenticated").await;
    }
    app.finish().await;
}
