//! Sign-in: tokens, wrong tokens, where it leads, and forms of other sites.

use chrono::TimeDelta;
use reqwest::Method;

use super::{OPERATOR, Visitor, has_the_headers_of_a_page, location, recorded, recorded_acts};
use crate::support::{TOKEN, TestApp};

#[tokio::test]
async fn a_tickets_link_leads_to_the_sign_in_and_from_there_to_exactly_that_page() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let mut visitor = Visitor::new(&app);
    let link = format!("/openings/{id}?limit=20");
    let answer = visitor.get(&link).await;
    assert_eq!(answer.status(), 303);
    let login = location(&answer).to_owned();
    assert_eq!(login, format!("/login?next=/openings/{id}%3Flimit%3D20"));
    let page = visitor.page(&login).await;
    assert!(page.contains(&format!(r#"name="next" value="{link}""#)), "{page}");
    let answer = visitor.sign_in(OPERATOR, &link).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, link.as_str()));
    assert!(visitor.page(&link).await.contains(&id));
    // Signed in, the sign-in leads on.
    assert_eq!(location(&visitor.get(&login).await), link);
    app.finish().await;
}

#[tokio::test]
async fn the_sign_in_leads_to_pages_of_the_dashboard_alone() {
    let app = TestApp::start().await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/a b",
        "/login?next=/",
        "/logout",
        "/..//evil.example",
        "/v1/account-openings",
        "/metrics",
        "/live?watch=all",
        "evil",
    ] {
        let answer = Visitor::new(&app).sign_in(TOKEN, next).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/"), "{next}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_session_is_new_at_each_sign_in_and_its_cookie_is_for_this_host_alone() {
    let app = TestApp::start().await;
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let answer = Visitor::new(&app).sign_in(TOKEN, "").await;
        let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        let (pair, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");
        cookies.push(pair.strip_prefix("__Host-account-opening=").unwrap().to_owned());
    }
    assert_ne!(cookies[0], cookies[1]);
    // The database holds neither cookie nor token, in any form.
    let rows: Vec<String> =
        sqlx::query_scalar("select s::text from sessions s union all select a::text from operator_actions a")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(!row.contains(&cookies[0]) && !row.contains(&cookies[1]) && !row.contains(TOKEN), "{row}");
    }
    app.finish().await;
}

#[tokio::test]
async fn every_wrong_token_gets_the_same_answer_and_is_recorded_without_the_token() {
    let app = TestApp::start().await;
    let mut pages = Vec::new();
    for wrong in ["", "admin", "admin-toke", "admin-token2", "\u{202e}admin-token"] {
        let answer = Visitor::new(&app).sign_in(wrong, "/openings").await;
        has_the_headers_of_a_page(answer.headers());
        assert!(answer.headers().get("set-cookie").is_none());
        pages.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    assert!(pages.iter().all(|it| *it == pages[0]) && pages[0].0 == 401, "{pages:?}");
    let all = recorded(&app).await;
    let refused = (String::new(), "sign_in_refused".to_owned(), "127.0.0.1".to_owned());
    assert_eq!(all, vec![refused; 5]);
    app.finish().await;
}

#[tokio::test]
async fn more_than_five_wrong_tokens_in_a_minute_block_the_right_one_too_until_it_is_over() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        assert_eq!(Visitor::new(&app).sign_in("wrong", "").await.status(), 401);
    }
    for token in ["wrong", TOKEN] {
        let answer = Visitor::new(&app).sign_in(token, "").await;
        assert_eq!(answer.status(), 429);
        assert!(answer.headers().contains_key("retry-after"));
        has_the_headers_of_a_page(answer.headers());
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in_refused"; 6], "no token is tried any more after the sixth");
    app.pass(TimeDelta::seconds(61));
    assert_eq!(Visitor::new(&app).sign_in(TOKEN, "").await.status(), 303);
    app.finish().await;
}

#[tokio::test]
async fn a_form_of_another_site_or_of_no_site_is_refused_and_nothing_is_recorded() {
    let app = TestApp::start().await;
    let visitor = Visitor::new(&app);
    let host = app.internal.strip_prefix("http://").unwrap();
    let own = [("sec-fetch-site", "same-origin".to_owned()), ("origin", format!("http://{host}"))];
    let ours = [("origin", "https://ops.example".to_owned())];
    for headers in own.chunks(1).chain([&ours[..], &own[..]]) {
        let mut request = visitor.request(Method::POST, "/login").form(&[("token", TOKEN)]);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 303, "{headers:?}");
    }
    let before = recorded(&app).await.len();
    let foreign = [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "nonsense")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    ];
    for headers in foreign {
        let mut request = visitor.request(Method::POST, "/login").form(&[("token", TOKEN)]);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{headers:?}");
        has_the_headers_of_a_page(answer.headers());
        assert!(answer.text().await.unwrap().contains("<h1>"), "{headers:?}");
    }
    assert_eq!(recorded(&app).await.len(), before);
    app.finish().await;
}

#[tokio::test]
async fn elsewhere_than_on_https_or_loopback_the_sign_in_says_that_browsers_drop_the_session() {
    for (url, says) in [("http://ops.example", true), ("https://ops.example", false), ("http://127.0.0.1:8081", false)]
    {
        let app = TestApp::with().settings(|raw| raw.dashboard_url = url.to_owned()).start().await;
        let page = Visitor::new(&app).page("/login").await;
        assert_eq!(page.contains("DASHBOARD_URL"), says, "{url}");
        app.finish().await;
    }
}
