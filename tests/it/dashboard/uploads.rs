//! Uploads of report files by their form, and forms that find what is there.

use chrono::TimeDelta;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};

use super::reports::{register, report_of, wrong_file};
use super::{OPERATOR, READER, Visitor, form, location, recorded_acts, rehearsal};
use crate::reconciliation::Register;
use crate::support::TestApp;

const BOUNDARY: &str = "----a-boundary";

/// The form of an upload as a browser sends it.
fn multipart(fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    if let Some((name, bytes)) = file {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\n"
        );
        body.extend(head.into_bytes());
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    body
}

async fn send(visitor: &Visitor, body: Vec<u8>) -> Response {
    let request = visitor.request(Method::POST, "/reports/upload").header("sec-fetch-site", "same-origin");
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    request.header(CONTENT_TYPE, kind).body(body).send().await.unwrap()
}

/// Uploads by the form of the page.
pub async fn uploaded(visitor: &Visitor, page: &str, fields: &[(&str, &str)], file: &str) -> Response {
    let token = form(page, "upload_report").fields.iter().find(|it| it.0 == "form").unwrap().1.clone();
    let all = [&[("form", token.as_str())][..], fields].concat();
    send(visitor, multipart(&all, Some(("jan.csv", file.as_bytes())))).await
}

const OF_REGISTER: [(&str, &str); 6] = [
    ("dry_run", "false"),
    ("provider", "nexusbank"),
    ("kind", "register"),
    ("format", ""),
    ("supersedes", ""),
    ("reason", "the file of January"),
];

#[tokio::test]
async fn a_file_is_uploaded_by_its_form_once_as_rest_would_take_it() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page("/reports/upload").await;
    assert!(rehearsal(&page).contains("applies and books nothing") && page.contains("multipart/form-data"), "{page}");
    let text = register().text();
    let answer = uploaded(&visitor, &page, &OF_REGISTER, &text).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let id = report_of(&answer);
    assert_eq!(location(&answer), format!("/reports/{id}#done-upload_report"));
    // The same form again, and the same bytes by a new form, are the same report.
    assert_eq!(report_of(&uploaded(&visitor, &page, &OF_REGISTER, &text).await), id);
    let again = visitor.page("/reports/upload").await;
    assert_eq!(report_of(&uploaded(&visitor, &again, &OF_REGISTER, &text).await), id);
    assert_eq!(recorded_acts(&app).await, ["sign_in", "upload_report"]);
    app.settle().await;
    let report = app.get(&format!("/v1/reports/{id}")).await;
    assert_eq!((&report["state"], &report["file_name"]), (&"finished".into(), &"jan.csv".into()));
    let act = app.get("/v1/operator-actions?limit=1").await["items"][0].clone();
    assert_eq!((&act["reason"], &act["subject"]), (&"the file of January".into(), &id.into()));
    app.finish().await;
}

#[tokio::test]
async fn a_dry_run_is_the_rehearsal_with_the_file_itself() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page("/reports/upload").await;
    let dry = [&[("dry_run", "true")][..], &OF_REGISTER[1..]].concat();
    let id = report_of(&uploaded(&visitor, &page, &dry, &register().text()).await);
    // A dry run is no copy of anything; the form's token keeps it from being done twice.
    assert_eq!(report_of(&uploaded(&visitor, &page, &dry, &register().text()).await), id);
    app.settle().await;
    assert_eq!(app.items("/v1/reports").await.len(), 1);
    assert!(app.items("/v1/mismatches").await.is_empty());
    let shown = visitor.page(&format!("/reports/{id}")).await;
    assert!(
        shown.contains(r#"data-class="MISSING_INTERNAL""#) && shown.contains("No mismatch was found in this report"),
        "{shown}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_mistake_in_an_upload_stands_beside_its_field_and_leaves_nothing() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page("/reports/upload").await;
    let text = register().text();
    let without = |name: &str| -> Vec<(&str, &str)> { OF_REGISTER.iter().filter(|it| it.0 != name).copied().collect() };
    let with = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
        without(name).into_iter().chain([(name, value)]).collect()
    };
    for (fields, file, says) in [
        (without("reason"), text.as_str(), "Reason is required"),
        (with("provider", "other"), &text, "Provider must be a configured provider"),
        (with("kind", "charges"), &text, "File line 1"),
        (with("supersedes", "x"), &text, "Sent in place of must be an id"),
        (OF_REGISTER.to_vec(), "a,b,c\n1,2,3\n", "columns expected: "),
        (OF_REGISTER.to_vec(), "", "File"),
    ] {
        let answer = uploaded(&visitor, &page, &fields, file).await;
        let (status, html) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 422, "{says}: {html}");
        assert!(html.contains(says) && html.contains("aria-invalid"), "{says}: {html}");
    }
    let token = form(&page, "upload_report").fields[0].1.clone();
    let no_file = [&[("form", token.as_str())][..], &OF_REGISTER].concat();
    assert_eq!(send(&visitor, multipart(&no_file, None)).await.status(), 422);
    assert_eq!(send(&visitor, multipart(&OF_REGISTER, Some(("x", b"y")))).await.status(), 422, "no token");
    assert_eq!(send(&visitor, b"no multipart".to_vec()).await.status(), 422);
    let many: Vec<(&str, &str)> = (0..30).map(|_| ("x", "y")).collect();
    assert_eq!(send(&visitor, multipart(&many, None)).await.status(), 413);
    let large = "x".repeat(100_000);
    assert_eq!(send(&visitor, multipart(&[("reason", &large)], None)).await.status(), 413);
    let endless = format!("--{BOUNDARY}\r\nX: {}", "x".repeat(3 << 20));
    assert_eq!(send(&visitor, endless.into_bytes()).await.status(), 422);
    assert_eq!(visitor.post("/reports/upload", &[("form", &token)]).await.status(), 415);
    assert!(app.items("/v1/reports").await.is_empty());
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}

#[tokio::test]
async fn a_large_file_streams_and_one_over_the_bound_is_refused() {
    let app = TestApp::with().settings(|it| it.reconciliation.report_max_bytes = "4000000".to_owned()).start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page("/reports/upload").await;
    let mut register = Register::of_day("2026-01-01");
    for n in 0..22_000 {
        register = register.row(&format!("aor_{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let text = register.text();
    assert!(text.len() > 1_100_000);
    let dry = [&[("dry_run", "true")][..], &OF_REGISTER[1..]].concat();
    let answer = uploaded(&visitor, &page, &dry, &text).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let report = app.get(&format!("/v1/reports/{}", report_of(&answer))).await;
    assert_eq!(report["bytes"], text.len());
    let page = visitor.page("/reports/upload").await;
    let over = uploaded(&visitor, &page, &dry, &"x".repeat(4_000_001)).await;
    assert_eq!(over.status(), 413);
    app.settle().await;
    app.finish().await;
}

/// The form finds a report of the same bytes. When that is discarded, the same bytes may be sent again, and only by a new form.
#[tokio::test]
async fn a_form_that_found_a_report_finds_it_again_and_makes_no_other() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let text = wrong_file().text();
    let (first, second) = (visitor.page("/reports/upload").await, visitor.page("/reports/upload").await);
    let id = report_of(&uploaded(&visitor, &first, &OF_REGISTER, &text).await);
    app.settle().await;
    assert_eq!(report_of(&uploaded(&visitor, &second, &OF_REGISTER, &text).await), id);
    let discard = format!("/v1/reports/{id}/discard");
    assert_eq!(app.post(&discard, &serde_json::json!({"reason": "the wrong file"})).await.0, 202);
    for form in [&first, &second] {
        assert_eq!(report_of(&uploaded(&visitor, form, &OF_REGISTER, &text).await), id);
    }
    assert_eq!(app.items("/v1/reports").await.len(), 1);
    let new = visitor.page("/reports/upload").await;
    assert_ne!(report_of(&uploaded(&visitor, &new, &OF_REGISTER, &text).await), id);
    app.settle().await;
    app.finish().await;
}

/// The same of pulls: the form found one that was under way.
#[tokio::test]
async fn a_form_that_found_a_pull_finds_it_again_and_makes_no_other() {
    let app = TestApp::start().await;
    app.pass(TimeDelta::hours(1));
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let (first, second) = (visitor.page("/reports/pull").await, visitor.page("/reports/pull").await);
    let until = app.now().to_rfc3339();
    let fields = [
        ("provider", "nexusbank"),
        ("from", "2026-01-01T00:00:00Z"),
        ("until", until.as_str()),
        ("reason", "no file came"),
    ];
    let pull = async |form: &str| report_of(&visitor.act(form, "pull_report", &fields).await);
    let id = pull(&first).await;
    assert_eq!(pull(&second).await, id);
    app.settle().await;
    assert_eq!((pull(&first).await, pull(&second).await), (id.clone(), id.clone()));
    assert_eq!(app.items("/v1/reports").await.len(), 1);
    let new = visitor.page("/reports/pull").await;
    assert_ne!(pull(&new).await, id);
    app.settle().await;
    app.finish().await;
}

/// A sender that is busy reads no answer, so the service reads the rest of the body also after it has refused the upload.
#[tokio::test]
async fn an_upload_that_is_refused_before_its_file_is_read_is_answered() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page("/reports/upload").await;
    let file = vec![b'x'; 24 << 20];
    let token = form(&page, "upload_report").fields[0].1.clone();
    let with = |name: &'static str, value: &str| {
        multipart(&[("form", token.as_str()), (name, value)], Some(("jan.csv", &file)))
    };
    let (reader, nobody) = (Visitor::signed_in(&app, READER).await, Visitor::new(&app));
    let large = "x".repeat(100_000);
    for (who, body, status) in [
        (&reader, with("reason", "r"), 403),
        (&nobody, with("reason", "r"), 303),
        (&visitor, with("reason", &large), 413),
        (&visitor, with("form", "twice"), 422),
        (&visitor, multipart(&[("reason", "r")], Some(("jan.csv", &file))), 422),
    ] {
        assert_eq!(send(who, body).await.status(), status);
    }
    let other = visitor.request(Method::POST, "/reports/upload").header("sec-fetch-site", "cross-site");
    assert_eq!(other.body(file).send().await.unwrap().status(), 403);
    assert!(app.items("/v1/reports").await.is_empty());
    app.finish().await;
}
