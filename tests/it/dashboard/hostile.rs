//! Hostile texts in every field that people or providers fill, on every page and export: text, never markup.
//!
//! Twice: a few texts of each kind (markup, attributes, templates' own syntax, controls of the writing direction, formulas, escapes, texts
//! without end) through every field and on every page; and the well-known list of naughty strings, whole.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;
use world::{Fault, Plan};

use super::access::{Kind, shown};
use super::{OPERATOR, READER, Visitor};
use crate::reconciliation::{REGISTER, Register, upload};
use crate::support::TestApp;

const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg/onload=alert(1)>",
    "' autofocus onfocus=alert(1) x='",
    "</title><textarea><style>*{display:none}",
    "<!--",
    "]]>",
    "javascript:alert(1)",
    "https://evil.example/login",
    "{{ 7*7 }}{% include \"layout.html\" %}",
    "${7*7}<%= 7*7 %>#{7*7}",
    "&lt;script&gt;&#60;b&#62;&amp;",
    "\u{202e}gpj.exe \u{2066}x\u{2069} \u{200f}",
    "\u{feff}\u{200b}invisible",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "%00%0d%0aSet-Cookie:x=y",
    "\\u0000 \\x00 NUL",
    "null undefined NaN -0 1e1000 true",
    "'; drop table sessions; --",
    "ＡＣＭＥ 田中 😀 a\u{301}\u{302}\u{303}\u{304}",
];

/// The well-known list, packed into texts of at most `most` characters, without what a field refuses: control characters.
fn naughty(most: usize) -> Vec<String> {
    let list: serde_json::Value = serde_json::from_str(include_str!("naughty.json")).unwrap();
    let mut texts = vec![String::new()];
    for string in list["strings"].as_array().unwrap() {
        let string = string.as_str().unwrap().replace(char::is_control, " ");
        let string = string.chars().take(most).collect::<String>();
        if texts.last().is_some_and(|it| it.chars().count() + string.chars().count() >= most) {
            texts.push(String::new());
        }
        let open = texts.last_mut().unwrap();
        *open = [open.as_str(), string.trim()].join(" ").trim().to_owned();
    }
    texts
}

/// Controls of the writing direction.
const BIDI: [char; 8] =
    ['\u{202a}', '\u{202b}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{200e}', '\u{200f}'];

/// The elements of our own pages.
const TAGS: &str = "a article aside bdi blockquote body br button code dd defs details dl div dt em figcaption \
                    figure form g h1 h2 h3 h4 head header hr html input label li link main marker meta nav ol option \
                    p path pre progress rect script section select span strong summary svg table tbody td text \
                    textarea th thead time title tr ul use";

/// Fills what can be filled: by callers, the provider, its files, and people. Returns an opening that waits.
async fn filled(app: &TestApp) -> String {
    let long = "W".repeat(240);
    let mut last = String::new();
    for (n, text) in HOSTILE.iter().copied().chain([long.as_str()]).enumerate() {
        let named = |body: &mut serde_json::Value| {
            let text: String = text.chars().take(180).collect();
            body["customer"]["name"] = text.as_str().into();
            body["customer"]["reference"] = format!("{n} {text}").into();
        };
        let (id, reference) = app.open().body(named).waiting().await;
        app.webhook().id(&format!("msg_{n}")).status(&reference, text).acknowledged().await;
        let unmatched = json!({"account_opening_request_id": format!("aor_{n}_{}", text.len()), "status": text,
                               "rejection_reason": text});
        app.webhook().data(unmatched).acknowledged().await;
        app.webhook().body(text).answered().await;
        app.webhook().data(json!({"x": text})).without("webhook-signature").answered().await;
        last = id;
    }
    app.settle().await;
    let refused = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    app.open().customer(HOSTILE[0]).plan(refused).start().await;
    app.settle().await;
    files(app).await;
    by_people(app, &last).await;
    app.settle().await;
    last
}

/// Report files whose cells and name are hostile, one of them held.
async fn files(app: &TestApp) {
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut register = Register::of_day("2026-01-01");
    for (n, text) in HOSTILE.iter().take(15).enumerate() {
        let text = cell(text);
        register = register.row(&format!("aor_f{n},{text},{text},,,{text},BE,EUR,2026-01-01T08:00:00Z,"));
        register = register.row(&format!("{text},,COMPLETED,{text},,,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let mut query = reqwest::Url::parse("http://x/").unwrap();
    query.query_pairs_mut().append_pair("file_name", HOSTILE[1]);
    upload(app, &format!("{REGISTER}&{}", query.query().unwrap()), register.text()).await;
    let small = Register::of_day("2026-01-02")
        .row(&format!("{},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,", cell(HOSTILE[0])));
    upload(app, REGISTER, small.text()).await;
    app.settle().await;
}

/// Reasons and evidence of acts.
async fn by_people(app: &TestApp, waiting: &str) {
    let (id, _) = app.open().waiting().await;
    let path = format!("/v1/account-openings/{id}/resolve");
    let body = json!({"outcome": "failed", "reason": HOSTILE[0], "evidence": HOSTILE.join("\n")});
    assert_eq!(app.post(&path, &body).await.0, 202);
    let flag = "/v1/feature-flags/async-account-opening";
    let body = json!({"market": "BE", "enabled": true, "reason": HOSTILE[1]});
    let set = app.request(reqwest::Method::PUT, flag).json(&body).send().await.unwrap();
    assert!(set.status().is_success());
    assert_eq!(app.post(&format!("/v1/account-openings/{waiting}/poll"), &json!({})).await.0, 202);
}

/// The ids of what a route shows.
async fn ids(app: &TestApp, route: &str) -> Vec<Uuid> {
    let sql = match route.split('/').nth(1).unwrap() {
        "openings" => "select id from account_openings order by id limit 40",
        "cases" => "select id from cases order by id limit 10",
        "dead-letters" => {
            "select id from inbox where status = 'dead' union select id from outbox where status = 'dead' limit 20"
        }
        "refused" => "select id from rejected_requests order by id limit 10",
        "reports" => "select id from reports",
        "mismatches" => "select id from mismatches order by id limit 20",
        _ => return Vec::new(),
    };
    sqlx::query_scalar(sql).fetch_all(&app.pool).await.unwrap()
}

/// The markup of a page that is not ours, and its texts that turn the writing around them.
fn flaws(page: &str) -> Vec<String> {
    let mut flaws = Vec::new();
    for mark in [
        "<img",
        "<svg/",
        "<textarea><",
        "<style>",
        "<!--",
        "href=\"javascript:",
        "href=\"https://evil",
        "onerror=alert(1)>",
    ] {
        if page.contains(mark) {
            flaws.push(mark.to_owned());
        }
    }
    let tags = page.split('<').skip(1).map(|it| it.trim_start_matches('/'));
    let names = tags.map(|it| it.chars().take_while(char::is_ascii_alphanumeric).collect::<String>());
    let known: BTreeSet<&str> = TAGS.split_whitespace().collect();
    flaws.extend(names.filter(|it| !it.is_empty() && !known.contains(it.as_str())).map(|it| format!("<{it}")));
    if page.matches("<script").count() != 1 {
        flaws.push("a script that is not ours".to_owned());
    }
    for tag in page.split('<').skip(1).filter_map(|it| it.split('>').next()) {
        // Without the values of its attributes, which are texts.
        let tag = tag.split('"').step_by(2).collect::<String>();
        if tag.contains(" onfocus=") || tag.contains(" onload=") || tag.contains(" onerror=") {
            flaws.push(tag);
        }
    }
    for (at, _) in page.match_indices(|it: char| !it.is_ascii() && BIDI.contains(&it)) {
        let before = &page[..at];
        let in_bdi = before.rfind("<bdi").is_some_and(|open| before.rfind("</bdi>").is_none_or(|close| close < open));
        // A value of a form's field, or the title: neither stands within a line of other text.
        let in_tag = before.rfind('<') > before.rfind('>');
        let in_field = before.rfind("<textarea").is_some_and(|open| !before[open..].contains("</textarea>"));
        if !in_bdi && !in_tag && !in_field {
            flaws.push(format!(
                "not isolated: …{}",
                before.chars().rev().take(60).collect::<String>().chars().rev().collect::<String>()
            ));
        }
    }
    flaws
}

#[tokio::test]
async fn hostile_texts_are_texts_on_every_page_and_in_every_export() {
    let app = TestApp::start().await;
    let fact: Vec<Uuid> = {
        filled(&app).await;
        sqlx::query_scalar("select id from inbox where opening_id is not null order by id desc limit 1")
            .fetch_all(&app.pool)
            .await
            .unwrap()
    };
    let mut looked_at = 0;
    for token in [READER, OPERATOR] {
        let visitor = Visitor::signed_in(&app, token).await;
        for (route, kind) in shown() {
            let ids = if route.contains("{id}") { ids(&app, route).await } else { vec![Uuid::nil()] };
            for id in ids {
                let path = route.replace("{id}", &id.to_string()).replace("{fact}", &fact[0].to_string());
                if path.contains('{') || path.contains("/revealed/") {
                    continue;
                }
                let answer = visitor.get(&path).await;
                let status = answer.status().as_u16();
                assert!(status < 500, "{path}: {status}");
                if status != 200 {
                    continue;
                }
                looked_at += 1;
                if kind == Kind::Export {
                    if path.contains(".csv") {
                        no_formula(&answer.text().await.unwrap(), &path);
                    }
                    continue;
                }
                let page = answer.text().await.unwrap();
                assert_eq!(flaws(&page), [] as [&str; 0], "{path}");
            }
        }
    }
    assert!(looked_at > 200, "{looked_at}");
    app.finish().await;
}

#[tokio::test]
async fn the_well_known_naughty_strings_are_texts_wherever_they_are_shown() {
    let app = TestApp::start().await;
    let texts = naughty(180);
    assert!(texts.len() > 80, "{} texts", texts.len());
    let mut ids = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        let named = |body: &mut serde_json::Value| {
            body["customer"]["name"] = text.as_str().into();
            body["customer"]["reference"] = format!("{n} {text}").into();
        };
        ids.push(app.open().body(named).start().await);
    }
    app.settle().await;
    for (n, (id, text)) in ids.iter().zip(&texts).enumerate() {
        let reference = app.opening(id).await["provider_reference"].as_str().unwrap().to_owned();
        app.webhook().id(&format!("msg_{n}")).status(&reference, text).acknowledged().await;
        let unmatched =
            json!({"account_opening_request_id": format!("aor_{n}"), "status": text, "rejection_reason": text});
        app.webhook().data(unmatched).acknowledged().await;
        app.webhook().body(text.as_str()).answered().await;
        app.webhook().data(json!({"x": text})).without("webhook-signature").answered().await;
        let resolution = json!({"outcome": "failed", "reason": text, "evidence": text});
        assert_eq!(app.post(&format!("/v1/account-openings/{id}/resolve"), &resolution).await.0, 202, "{text}");
    }
    app.settle().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let lists = shown().into_iter().filter(|(route, kind)| *kind == Kind::Page && !route.contains('{'));
    let pages = ids.iter().map(|id| format!("/openings/{id}")).chain(lists.map(|(route, _)| route.to_owned()));
    for path in pages {
        assert_eq!(flaws(&visitor.page(&path).await), [] as [&str; 0], "{path}");
    }
    for path in ["/openings.csv", "/acts.csv"] {
        no_formula(&visitor.page(path).await, path);
    }
    for text in &texts {
        let mut url = reqwest::Url::parse("http://x/").unwrap();
        url.query_pairs_mut().append_pair("customer_reference", text);
        let page = visitor.page(&format!("/openings?{}", url.query().unwrap())).await;
        assert_eq!(flaws(&page), [] as [&str; 0], "filter {text}");
    }
    app.finish().await;
}

/// No cell of a spreadsheet begins like a formula.
fn no_formula(csv: &str, path: &str) {
    let mut cells = cells(csv);
    assert!(cells.len() > 1, "{path}");
    cells.retain(|it| it.starts_with(['=', '+', '-', '@', '\t', '\r']));
    assert_eq!(cells, [] as [&str; 0], "{path}");
}

/// The cells of a file as RFC 4180 has it.
fn cells(csv: &str) -> Vec<String> {
    let (mut cells, mut is_quoted) = (vec![String::new()], false);
    for sign in csv.replace("\r\n", "\n").chars() {
        match sign {
            '"' => is_quoted = !is_quoted,
            ',' | '\n' if !is_quoted => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(sign),
        }
    }
    cells
}

#[test]
fn an_element_that_is_not_ours_is_seen() {
    let page = |name: &str| format!("<!doctype html><html><script src=\"/x.js\"></script><p>{name}</p></html>");
    assert_eq!(flaws(&page("&lt;b>")), [] as [&str; 0]);
    assert_eq!(flaws(&page("<iframe src=x>")), ["<iframe"]);
    assert_eq!(flaws(&page("<b onload=x>y</b>")), ["<b", "<b", "b onload=x"]);
}

#[test]
fn a_formula_is_seen_in_a_quoted_cell_and_in_a_bare_one() {
    assert_eq!(cells("a,\"=1,\n\"\"x\",=2\r\nb\r\n"), ["a", "=1,\nx", "=2", "b", ""]);
}

#[tokio::test]
async fn hostile_filters_and_fields_come_back_as_texts() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    for text in HOSTILE {
        let mut url = reqwest::Url::parse("http://x/").unwrap();
        url.query_pairs_mut().append_pair("customer_reference", text);
        let page = visitor.page(&format!("/openings?{}", url.query().unwrap())).await;
        assert_eq!(flaws(&page), [] as [&str; 0], "filter {text}");
        for path in ["/search".to_owned(), format!("/openings/{id}/check-iban")] {
            let name = if path == "/search" { "q" } else { "iban" };
            let answer = visitor.post(&path, &[(name, text)]).await;
            let page = answer.text().await.unwrap();
            assert_eq!(flaws(&page), [] as [&str; 0], "{path} {text}");
        }
        let form = visitor.page(&format!("/openings/{id}/resolve")).await;
        let answer = visitor.act(&form, "resolve", &[("outcome", text), ("reason", ""), ("evidence", text)]).await;
        assert_eq!(answer.status(), 422);
        assert_eq!(flaws(&answer.text().await.unwrap()), [] as [&str; 0], "form {text}");
        let mut url = reqwest::Url::parse("http://x/").unwrap();
        url.query_pairs_mut().append_pair(text, text);
        for path in ["/reports", "/mismatches", "/ledger", "/openings"] {
            let answer = visitor.get(&format!("{path}?{}", url.query().unwrap())).await;
            assert!(answer.status().is_client_error(), "{path} {text}");
            assert_eq!(flaws(&answer.text().await.unwrap()), [] as [&str; 0], "{path} {text}");
        }
    }
    app.finish().await;
}
