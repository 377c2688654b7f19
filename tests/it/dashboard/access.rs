//! Role × route × act: every route of the dashboard with the least role that it takes, and the page of every act of REST.
//!
//! A new route is a line of [`ROUTES`]; a new act of REST a line of [`PAGES_OF_ACTS`]. The tests fail until the line is there.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::{Method, Response};

use super::{OPERATOR, READER, Visitor, location, recorded_acts, replica, tokens};
use crate::support::{TOKEN, TestApp};

use Kind::{Click, Export, Form, Own, Page};

const ROLES: [(&str, &str); 4] =
    [("reader", READER), ("caller", "caller-token"), ("operator", OPERATOR), ("admin", TOKEN)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Page,
    Export,
    /// An act with a page of its own, by its name in `data-act`.
    Form(&'static str),
    /// An act with one click.
    Click(&'static str),
    /// A form of every role that changes nothing but the person's own session.
    Own,
}

/// Every route behind the sign-in with the least role that it takes.
const ROUTES: &[(&str, &str, Kind)] = &[
    ("/", "reader", Page),
    ("/search", "reader", Own),
    ("/openings", "reader", Page),
    ("/openings.csv", "reader", Export),
    ("/openings/{id}", "reader", Page),
    ("/openings/{id}/evidence.json", "reader", Export),
    ("/openings/{id}/facts/{fact}", "operator", Page),
    ("/openings/{id}/poll", "operator", Click("poll")),
    ("/openings/{id}/resolve", "operator", Form("resolve")),
    ("/openings/{id}/erase", "operator", Form("erase")),
    ("/openings/{id}/reveal", "operator", Form("reveal_personal_data")),
    ("/openings/{id}/revealed/{act}", "operator", Page),
    ("/openings/{id}/check-iban", "reader", Own),
    ("/cases", "reader", Page),
    ("/cases/{id}", "reader", Page),
    ("/cases/{id}/resolve", "operator", Form("resolve_case")),
    ("/tickets", "reader", Page),
    ("/dead-letters", "reader", Page),
    ("/dead-letters/{id}", "reader", Page),
    ("/dead-letters/{id}/redrive", "operator", Form("redrive_dead_letter")),
    ("/dead-letters/{id}/discard", "operator", Form("discard_dead_letter")),
    ("/bulk", "operator", Click("bulk")),
    ("/bulk/{id}", "operator", Page),
    ("/bulk/{id}/start", "operator", Click("bulk")),
    ("/bulk/{id}/stop", "operator", Click("stop_bulk")),
    ("/refused", "reader", Page),
    ("/refused/{id}", "reader", Page),
    ("/refused/{id}/reverify", "operator", Form("reverify")),
    ("/unmatched", "reader", Page),
    ("/providers", "reader", Page),
    ("/providers/{system}/breakers/{operation}", "operator", Form("force_breaker")),
    ("/providers/{provider}/backfill", "operator", Form("backfill")),
    ("/flags", "reader", Page),
    ("/flags/set", "admin", Form("set_flag")),
    ("/acts", "reader", Page),
    ("/acts.csv", "reader", Export),
    ("/help", "reader", Page),
    ("/reports", "reader", Page),
    ("/reports.csv", "reader", Export),
    ("/reports/upload", "operator", Form("upload_report")),
    ("/reports/pull", "operator", Form("pull_report")),
    ("/reports/{id}", "reader", Page),
    ("/reports/{id}/evidence.zip", "operator", Export),
    ("/reports/{id}/release", "operator", Form("release_report")),
    ("/reports/{id}/discard", "operator", Form("discard_report")),
    ("/mismatches", "reader", Page),
    ("/mismatches.csv", "reader", Export),
    ("/mismatches/{id}", "reader", Page),
    ("/ledger", "reader", Page),
    ("/ledger.csv", "reader", Export),
    ("/account", "reader", Page),
    ("/account/sessions/{id}/end", "reader", Own),
];

/// The routes that readers and operators look at, as they stand in the table.
pub fn shown() -> Vec<(&'static str, Kind)> {
    let known = routes();
    let lines = ROUTES.iter().filter(|it| known.contains(it.0) && matches!(it.2, Page | Export | Form(_)));
    lines.map(|it| (it.0, it.2)).collect()
}

/// Where a person finds an act of REST.
enum Place {
    /// The act's own route.
    At(&'static str),
    /// None, and why.
    Nowhere(&'static str),
}

/// Every act of the API description, by its operation.
const PAGES_OF_ACTS: &[(&str, Place)] = &[
    ("start_account_opening", Place::Nowhere("the callers' programs start openings; a person has no part in it")),
    ("poll_account_opening", Place::At("/openings/{id}/poll")),
    ("resolve_account_opening", Place::At("/openings/{id}/resolve")),
    ("erase_account_opening", Place::At("/openings/{id}/erase")),
    ("redrive_dead_letter", Place::At("/dead-letters/{id}/redrive")),
    ("discard_dead_letter", Place::At("/dead-letters/{id}/discard")),
    (
        "discard_waiting_work",
        Place::Nowhere("it drops work that is still tried: the runbook's last resort, by hand only"),
    ),
    ("resolve_case", Place::At("/cases/{id}/resolve")),
    ("force_breaker", Place::At("/providers/{system}/breakers/{operation}")),
    ("start_backfill", Place::At("/providers/{provider}/backfill")),
    ("set_feature_flag", Place::At("/flags/set")),
    ("upload_report", Place::At("/reports/upload")),
    ("pull_report", Place::At("/reports/pull")),
    ("release_report", Place::At("/reports/{id}/release")),
    ("discard_report", Place::At("/reports/{id}/discard")),
    ("reverify_rejected_request", Place::At("/refused/{id}/reverify")),
    (
        "reverify_rejected_requests",
        Place::Nowhere("pages do it one by one; all of a cause is a list that a page would freeze"),
    ),
    ("set_status_sandbox", Place::Nowhere("the sandbox plays the bank: it belongs to tests, and production has none")),
];

/// The routes in the source of the pages.
fn routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/dashboard")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let source = std::fs::read_to_string(&path).unwrap();
                let found = source.split(".route(").skip(1).filter_map(|it| it.trim_start().strip_prefix('"'));
                routes.extend(found.map(|it| it.split('"').next().unwrap().to_owned()));
            }
        }
    }
    // Before the sign-in, or no page.
    routes.retain(|it| !["/login", "/logout", "/assets", "/live"].iter().any(|other| it.starts_with(other)));
    routes
}

/// The lines of the table with addresses that exist.
fn lines(id: &str) -> Vec<(String, usize, Kind)> {
    let known = routes();
    let rank = |role: &str| ROLES.iter().position(|(it, _)| *it == role).unwrap();
    let filled = |path: &str| {
        let path = ["{id}", "{fact}", "{act}"].iter().fold(path.to_owned(), |path, it| path.replace(it, id));
        path.replace("{system}", "nexusbank").replace("{operation}", "submit").replace("{provider}", "nexusbank")
    };
    let lines = ROUTES.iter().filter(|it| known.contains(it.0));
    lines.map(|(path, role, kind)| (filled(path), rank(role), *kind)).collect()
}

async fn post(visitor: &Visitor, path: &str) -> Response {
    visitor.post(path, &[("reason", "x")]).await
}

fn is_of_an_operator(kind: Kind) -> bool {
    matches!(kind, Form(_) | Click(_))
}

#[test]
fn every_route_of_the_dashboard_stands_in_the_table() {
    let listed: BTreeSet<String> = ROUTES.iter().map(|it| it.0.to_owned()).collect();
    let unlisted: Vec<String> = routes().difference(&listed).cloned().collect();
    assert_eq!(unlisted, [] as [&str; 0], "give each a line in ROUTES");
}

#[tokio::test]
async fn each_role_sees_its_pages_and_does_its_acts_and_no_others() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    for (rank, (role, token)) in ROLES.iter().enumerate() {
        let visitor = Visitor::signed_in(&app, token).await;
        for (path, least, kind) in lines(&id) {
            if kind != Own && !matches!(kind, Click(_)) {
                let status = visitor.get(&path).await.status().as_u16();
                let may = rank >= least;
                assert_eq!(status == 403, !may, "{role} GET {path}: {status}");
                assert!(status < 500 && status != 401, "{role} GET {path}: {status}");
            }
            if is_of_an_operator(kind) && rank < least {
                assert_eq!(post(&visitor, &path).await.status(), 403, "{role} POST {path}");
            }
            if is_of_an_operator(kind) && rank >= least {
                let status = post(&visitor, &path).await.status().as_u16();
                assert!([400, 404, 409, 415, 422].contains(&status), "{role} POST {path} without its token: {status}");
            }
        }
    }
    let acts: BTreeSet<String> = recorded_acts(&app).await.into_iter().collect();
    assert_eq!(acts, ["export", "sign_in"].map(str::to_owned).into(), "forms without their token do nothing");
    app.finish().await;
}

#[tokio::test]
async fn pages_offer_an_act_only_to_roles_that_may_do_it() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    for token in [READER, "caller-token"] {
        let visitor = Visitor::signed_in(&app, token).await;
        for (path, _, _) in lines(&id).into_iter().filter(|it| it.2 == Page && it.1 == 0) {
            let answer = visitor.get(&path).await;
            if answer.status() != 200 {
                continue;
            }
            let page = answer.text().await.unwrap();
            let offered = page.split("data-act=\"").skip(1).map(|it| it.split('"').next().unwrap());
            let others: Vec<&str> = offered.filter(|it| !["check_iban", "end_session"].contains(it)).collect();
            assert_eq!(others, [] as [&str; 0], "{path}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn signed_out_every_route_leads_to_the_sign_in_and_does_nothing() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::new(&app);
    for (path, _, kind) in lines(&id) {
        let answer = visitor.get(&path).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("/login?next={path}").as_str()));
        if is_of_an_operator(kind) || kind == Own {
            let answer = post(&visitor, &path).await;
            assert!(answer.status() == 303 && location(&answer).starts_with("/login"), "POST {path}");
        }
    }
    assert_eq!(recorded_acts(&app).await, [] as [&str; 0]);
    app.finish().await;
}

#[tokio::test]
async fn forms_of_other_sites_and_without_an_origin_are_refused_on_every_route() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, TOKEN).await;
    for (path, _, _) in lines(&id).into_iter().filter(|it| is_of_an_operator(it.2) || it.2 == Own) {
        let request = || visitor.request(Method::POST, &path).form(&[("reason", "x")]);
        for refused in [
            request(),
            request().header("sec-fetch-site", "cross-site"),
            request().header("sec-fetch-site", "same-site"),
            request().header("origin", "https://evil.example"),
            request().header("sec-fetch-site", ""),
            request().header("origin", ""),
        ] {
            assert_eq!(refused.send().await.unwrap().status(), 403, "POST {path}");
        }
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}

#[tokio::test]
async fn a_read_only_dashboard_refuses_every_act_of_every_role_and_shows_every_page() {
    let app = TestApp::with().settings(|raw| raw.dashboard.dashboard = "read-only".to_owned()).start().await;
    let (id, _) = app.open().waiting().await;
    for token in [OPERATOR, TOKEN] {
        let visitor = Visitor::signed_in(&app, token).await;
        for (path, _, kind) in lines(&id) {
            match kind {
                Form(_) => {
                    assert_eq!(visitor.get(&path).await.status(), 403, "GET {path}");
                    assert_eq!(post(&visitor, &path).await.status(), 403, "POST {path}");
                }
                Click(_) => assert_eq!(post(&visitor, &path).await.status(), 403, "POST {path}"),
                Page if !path.contains("/revealed/") => {
                    let answer = visitor.get(&path).await;
                    assert!(
                        answer.status() != 403 && answer.status().as_u16() < 500,
                        "GET {path}: {}",
                        answer.status()
                    );
                    let page = answer.text().await.unwrap();
                    let offered = page.split("data-act=\"").skip(1).map(|it| it.split('"').next().unwrap());
                    let acts: Vec<&str> = offered.filter(|it| !["check_iban", "end_session"].contains(it)).collect();
                    assert_eq!(acts, [] as [&str; 0], "{path}");
                }
                Page | Export | Own => {}
            }
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn a_role_that_was_taken_away_takes_the_acts_with_it_at_once() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let lower = replica(&app, &tokens().replace(&format!("{OPERATOR}:operator"), &format!("{OPERATOR}:reader"))).await;
    let mut visitor = Visitor::at(&lower);
    assert_eq!(visitor.sign_in(OPERATOR, "").await.status(), 303);
    for (path, _, _) in lines(&id).into_iter().filter(|it| is_of_an_operator(it.2)) {
        assert_eq!(post(&visitor, &path).await.status(), 403, "POST {path}");
    }
    app.finish().await;
}

#[tokio::test]
async fn every_act_of_rest_has_its_page_or_a_reason_why_not() {
    let app = TestApp::start().await;
    let description = app.get("/openapi.json").await;
    let mut acts = BTreeSet::new();
    for operations in description["paths"].as_object().unwrap().values() {
        let changing = operations.as_object().unwrap().iter().filter(|(method, _)| *method != "get");
        acts.extend(changing.map(|(_, it)| it["operationId"].as_str().unwrap().to_owned()));
    }
    let listed: BTreeSet<String> = PAGES_OF_ACTS.iter().map(|it| it.0.to_owned()).collect();
    assert_eq!(acts, listed, "each act has one line in PAGES_OF_ACTS");
    let (known, visitor) = (routes(), Visitor::signed_in(&app, TOKEN).await);
    for (act, place) in PAGES_OF_ACTS {
        match place {
            Place::Nowhere(why) => assert!(why.len() > 20, "{act}"),
            Place::At(path) => {
                assert!(known.contains(*path), "{act}: no route {path}");
                let line =
                    ROUTES.iter().find(|it| it.0 == *path).unwrap_or_else(|| panic!("{path} is no line of ROUTES"));
                assert!(is_of_an_operator(line.2), "{act}: {path} is no act");
            }
        }
    }
    // An act that needs no object shows its form, with its name.
    for (path, _, kind) in lines("x").into_iter().filter(|it| !it.0.contains("/x")) {
        if let Form(act) = kind {
            let page = visitor.get(&path).await;
            if page.status() == 200 {
                let page = page.text().await.unwrap();
                assert!(page.contains(&format!("data-act=\"{act}\"")) && page.contains("data-rehearsal"), "{path}");
            }
        }
    }
    app.finish().await;
}
