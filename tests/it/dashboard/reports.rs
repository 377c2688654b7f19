//! Reports and mismatches: what their pages show, and the acts on them.

use chrono::TimeDelta;
use reqwest::{Method, Response};

use super::{OPERATOR, READER, Visitor, location, recorded_acts, rehearsal};
use crate::reconciliation::{Register, reconcile, upload};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";

pub fn register() -> Register {
    Register::of_day("2026-01-01").row("aor_1,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,")
}

/// Differs in more rows than a file may.
pub fn wrong_file() -> Register {
    (0..21).fold(Register::of_day("2026-01-01"), |register, n| {
        register.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"))
    })
}

/// The id in the path that an answer leads to.
pub fn report_of(answer: &Response) -> String {
    location(answer).trim_start_matches("/reports/").split('#').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_held_report_says_why_and_is_released_or_discarded_as_its_rehearsal_said() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let held = reconcile(&app, &wrong_file()).await;
    let path = format!("/reports/{}", held["id"].as_str().unwrap());
    let page = visitor.page(&path).await;
    assert!(page.contains(r#"data-state="held""#) && page.contains("21 of 21 rows differ; at most 20 may"), "{page}");
    assert!(
        page.contains("TOO_MANY_DIFFERENCES")
            && page.contains(&format!("/mismatches?report={}", held["id"].as_str().unwrap()))
    );
    let confirm = visitor.page(&format!("{path}/discard")).await;
    assert!(rehearsal(&confirm).contains("without any effect of its 21 rows"));
    assert_eq!(app.get(&format!("/v1{path}")).await["state"], "held", "a rehearsal writes nothing");
    let refused = visitor.act(&confirm, "discard_report", &[]).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("Reason is required"));
    for _ in 0..2 {
        let answer = visitor.act(&confirm, "discard_report", &[("reason", "the wrong file")]).await;
        assert_eq!(location(&answer), format!("{path}#done-discard_report"));
    }
    assert_eq!(app.get(&format!("/v1{path}")).await["state"], "discarded");
    assert!(rehearsal(&visitor.page(&format!("{path}/discard")).await).contains("was done before"));
    assert!(rehearsal(&visitor.page(&format!("{path}/release")).await).contains("Not possible"));

    let again = reconcile(&app, &wrong_file()).await;
    let path = format!("/reports/{}", again["id"].as_str().unwrap());
    let confirm = visitor.page(&format!("{path}/release")).await;
    assert!(rehearsal(&confirm).contains("applies what was found in its 21 rows"));
    let answer = visitor.act(&confirm, "release_report", &[("reason", "it is right")]).await;
    assert_eq!(location(&answer), format!("{path}#done-release_report"));
    app.settle().await;
    let page = visitor.page(&path).await;
    assert!(page.contains(r#"data-state="finished""#) && page.contains("MISSING_INTERNAL"), "{page}");
    assert!(rehearsal(&visitor.page(&format!("{path}/release")).await).contains("was done before"));
    let acts = recorded_acts(&app).await;
    assert_eq!(acts, ["sign_in", "upload_report", "discard_report", "upload_report", "release_report"]);
    app.finish().await;
}

#[tokio::test]
async fn a_list_is_pulled_for_the_period_that_the_page_showed() {
    let app = TestApp::start().await;
    app.open().start().await;
    app.settle().await;
    app.pass(TimeDelta::hours(1));
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page("/reports/pull").await;
    assert!(rehearsal(&page).contains("reads the list of nexusbank from "), "{page}");
    let until = app.clock.now();
    let period = [("provider", "nexusbank"), ("from", "2026-01-01T00:00:00Z"), ("until", "2999-01-01T00:00:00Z")];
    let refused = visitor.act(&page, "pull_report", &[&period[..], &[("reason", "r")]].concat()).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("Until must not be in the future"));
    let until = until.to_rfc3339();
    let fields = [("provider", "nexusbank"), ("from", "1999-01-01T00:00:00Z"), ("until", until.as_str())];
    let missing = visitor.act(&page, "pull_report", &fields).await;
    assert!(missing.text().await.unwrap().contains("Reason is required"));
    let fields = [&fields[..], &[("reason", "no file came")]].concat();
    let answer = visitor.act(&page, "pull_report", &fields).await;
    let id = report_of(&answer);
    assert_eq!(report_of(&visitor.act(&page, "pull_report", &fields).await), id);
    assert_eq!(app.get(&format!("/v1/reports/{id}")).await["format"], "pull");
    assert_eq!(recorded_acts(&app).await.iter().filter(|it| *it == "pull_report").count(), 1);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn the_calendar_and_the_list_show_what_came_and_the_csv_what_the_list_shows() {
    let app = TestApp::start().await;
    let held = reconcile(&app, &wrong_file()).await["id"].as_str().unwrap().to_owned();
    let file = "provider=nexusbank&kind=register&file_name=%3Cscript%3Ealert(1)%3C/script%3E%20BE68539007547034";
    let next = Register::of_day("2026-01-02").row("aor_1,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,");
    let finished = upload(&app, file, next.cut()).await.id();
    app.settle().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/reports").await;
    let day = |date: &str| {
        let row = page.split(&format!("data-day=\"{date}\"")).nth(1);
        row.map(|it| it.split("</tr>").next().unwrap().to_owned())
    };
    let today = app.clock.now().date_naive().to_string();
    assert!(day(&today).is_some(), "{page}");
    if let Some(row) = day("2026-01-01") {
        assert!(row.contains(r#"data-state="held""#) && row.contains(&held), "{row}");
    }
    assert!(page.contains(&format!("/reports/{held}")) && page.contains(&format!("/reports/{finished}")));
    assert!(page.contains("&#60;script&#62;") && !page.contains("<script>alert") && !page.contains(IBAN), "{page}");
    let operators = Visitor::signed_in(&app, OPERATOR).await.page("/reports").await;
    assert!(operators.contains("&#60;script&#62;") && !operators.contains("<script>alert"), "{operators}");
    assert!(!page.contains("data-act=\"upload_report\""), "readers are offered no act");
    let filtered = visitor.page("/reports?provider=&kind=register&state=held").await;
    assert!(
        filtered.contains(&format!("href=\"/reports/{held}\""))
            && !filtered.contains(&format!("<a href=\"/reports/{finished}\"><time"))
    );
    let first = visitor.page("/reports?limit=1&kind=register").await;
    let next = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    assert!(next.contains("kind=register") && visitor.page(&next).await.contains(&held));
    for wrong in ["kind=x", "state=x", "cursor=~", "limit=0"] {
        assert_eq!(visitor.get(&format!("/reports?{wrong}")).await.status(), 422, "{wrong}");
    }
    let csv = visitor.get("/reports.csv?state=held").await.text().await.unwrap();
    assert!(csv.lines().count() == 2 && csv.contains(&held), "{csv}");
    let all = visitor.get("/reports.csv").await.text().await.unwrap();
    assert!(!all.contains(IBAN) && all.contains("<script>"), "{all}");
    for path in ["/reports.csv", "/mismatches.csv"] {
        let request = visitor.request(Method::GET, path).header("sec-fetch-site", "cross-site");
        assert_eq!(request.send().await.unwrap().status(), 403);
    }
    app.finish().await;
}

#[tokio::test]
async fn the_evidence_of_a_report_is_for_operators_and_recorded() {
    let app = TestApp::start().await;
    let id = reconcile(&app, &register()).await["id"].as_str().unwrap().to_owned();
    let (reader, operator) = (Visitor::signed_in(&app, READER).await, Visitor::signed_in(&app, OPERATOR).await);
    let (page, path) = (format!("/reports/{id}"), format!("/reports/{id}/evidence.zip"));
    assert!(
        !reader.page(&page).await.contains("data-evidence") && operator.page(&page).await.contains("data-evidence")
    );
    assert_eq!(reader.get(&path).await.status(), 403);
    let other = operator.request(Method::GET, &path).header("sec-fetch-site", "cross-site");
    assert_eq!(other.send().await.unwrap().status(), 403);
    let zip = operator.get(&path).await;
    assert_eq!(zip.headers()["content-type"], "application/zip");
    assert!(zip.bytes().await.unwrap().starts_with(b"PK"));
    assert_eq!(recorded_acts(&app).await.iter().filter(|it| *it == "export").count(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_mismatch_has_both_sides_its_difference_the_raw_line_and_its_case() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    let hostile = "<img src=x onerror=alert(1)>";
    let register = Register::of_day("2026-01-01")
        .row(&format!("aor_before,{hostile},IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"))
        .about(&opening, "COMPLETED", OTHER_IBAN);
    reconcile(&app, &register).await;
    let all = app.items("/v1/mismatches?class=IBAN_MISMATCH").await;
    let mismatch = &all[0];
    let path = format!("/mismatches/{}", mismatch["id"].as_str().unwrap());
    let (reader, operator) = (Visitor::signed_in(&app, READER).await, Visitor::signed_in(&app, OPERATOR).await);
    let seen = operator.page(&path).await;
    let row = seen.split(r#"data-field="iban""#).nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(row.contains("data-differs") && row.contains(IBAN) && row.contains(OTHER_IBAN), "{row}");
    let raw = seen.split("data-raw").nth(1).unwrap().split("</li>").next().unwrap();
    assert!(raw.contains(OTHER_IBAN) && raw.contains(&reference), "{raw}");
    assert!(seen.contains("&#60;img src=x") && !seen.contains(hostile), "the neighbour is text: {seen}");
    assert!(seen.contains("TRAILER,2") && seen.contains("Suggestion: "));
    let link = seen.split(r#"" data-act="resolve_case""#).next().unwrap().rsplit("href=\"").next().unwrap();
    assert_eq!(link, format!("/cases/{}/resolve", mismatch["case_id"].as_str().unwrap()));
    let masked = reader.page(&path).await;
    for secret in [IBAN, OTHER_IBAN, "Acme"] {
        assert!(!masked.contains(secret), "{secret}: {masked}");
    }
    assert!(masked.contains("BE71 •••• •••• 6769") && !masked.contains("data-act=\"resolve_case\""));
    let confirm = operator.page(link).await;
    assert_eq!(operator.act(&confirm, "resolve_case", &[("reason", "ours holds")]).await.status(), 303);
    let resolved = operator.page(&path).await;
    assert!(resolved.contains(r#"data-state="resolved""#) && resolved.contains("Its case is resolved"), "{resolved}");
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn the_list_of_mismatches_has_rests_filters_counts_by_class_and_a_csv() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let opening = app.opening(&id).await;
    let register = Register::of_day("2026-01-01")
        .row("=cmd|' /C calc'!A0,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,")
        .row("aor_2,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,")
        .about(&opening, "COMPLETED", IBAN);
    let report = reconcile(&app, &register).await["id"].as_str().unwrap().to_owned();
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/mismatches").await;
    assert!(page.contains("data-class=\"MISSING_INTERNAL\">MISSING_INTERNAL <strong>2</strong>"), "{page}");
    let ids = |page: &str| -> Vec<String> {
        let table = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
        table.split("href=\"/mismatches/").skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect()
    };
    for query in ["", "?class=MISSING_INTERNAL", "?state=case", "?provider=nexusbank&market=", "?limit=1"] {
        let rests: Vec<String> = app.get(&format!("/v1/mismatches{}", query.replace("&market=", ""))).await["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids(&visitor.page(&format!("/mismatches{query}")).await), rests, "{query}");
    }
    for query in [format!("opening_id={id}"), format!("report={report}")] {
        let count = app.items(&format!("/v1/mismatches?{query}")).await.len();
        assert_eq!(ids(&visitor.page(&format!("/mismatches?{query}")).await).len(), count, "{query}");
    }
    let csv = visitor.get("/mismatches.csv?class=MISSING_INTERNAL").await.text().await.unwrap();
    assert!(csv.lines().count() == 3 && csv.contains(",'=cmd|") && !csv.contains(",=cmd"), "{csv}");
    assert_eq!(recorded_acts(&app).await.last().unwrap(), "export");
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn an_erased_row_shows_none_of_its_values() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    reconcile(&app, &Register::of_day("2026-01-01").about(&opening, "COMPLETED", OTHER_IBAN)).await;
    let mismatch = app.items("/v1/mismatches?class=IBAN_MISMATCH").await[0]["id"].as_str().unwrap().to_owned();
    let erase = format!("/v1/account-openings/{id}/erase");
    assert_eq!(app.post(&erase, &serde_json::json!({"reason": "asked for"})).await.0, 202);
    app.settle().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(&format!("/mismatches/{mismatch}")).await;
    assert!(!page.contains(OTHER_IBAN) && page.contains("redacted"), "{page}");
    app.finish().await;
}
