//! The alerts of `ops/prometheus` against the service: a rule names only series that a scrape has right after a start, and each
//! has its case that fires, its case that does not, and its place in the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use reqwest::Method;
use serde_json::json;
use world::{Options, Plan, Planner, Simulator};

use crate::process::external::migrated;
use crate::support::eventually;
use crate::support::service::Service;

const RULES: &str = include_str!("../../ops/prometheus/alerts.yaml");
const CASES: &str = include_str!("../../ops/prometheus/alerts.test.yaml");
const RUNBOOK: &str = include_str!("../../docs/OPERATIONS.md");
const PREFIX: &str = "account_opening_";

/// An alert as its rule has it.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    expression: String,
    severity: String,
    runbook: String,
    summary: String,
}

/// The alerts of the rules, read line by line: the file is kept in one form.
fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut in_expression = false;
    for line in RULES.lines().map(str::trim) {
        let (key, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        if key == "- alert" {
            alerts.push(Alert { name: value.to_owned(), ..Alert::default() });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        match key {
            "expr" => (in_expression, alert.expression) = (true, value.trim_start_matches('|').to_owned()),
            "severity" => value.clone_into(&mut alert.severity),
            "runbook_url" => value.clone_into(&mut alert.runbook),
            "summary" => value.clone_into(&mut alert.summary),
            "for" | "labels" | "annotations" | "- alert" => {}
            _ if in_expression => alert.expression.extend([" ", line]),
            _ => {}
        }
        in_expression &= !["for", "labels", "annotations"].contains(&key);
    }
    alerts
}

/// A metric in an expression, with its matchers: label, and what a value may be.
type Selector = (String, Vec<(String, Vec<String>)>);

/// The metrics that an expression selects.
fn selectors(expression: &str) -> Vec<Selector> {
    let starts = expression.match_indices(PREFIX).map(|(at, _)| &expression[at..]);
    let selector = |from: &str| {
        let end = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(from.len());
        let matchers = from[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |it| it.0);
        let matcher = |text: &str| {
            let (label, value) = text.split_once('=').unwrap();
            let alternatives = value.trim_start_matches('~').trim_matches('"').split('|').map(str::to_owned).collect();
            (label.trim().to_owned(), alternatives)
        };
        (from[..end].to_owned(), matchers.split(',').filter(|it| !it.trim().is_empty()).map(matcher).collect())
    };
    starts.map(selector).collect()
}

/// The labels by which an expression groups or joins.
fn groupings(expression: &str) -> BTreeSet<&str> {
    let lists = [" by (", " on (", "by(", "on("].iter().flat_map(|word| expression.split(word).skip(1));
    let names = lists.flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','));
    names.map(str::trim).filter(|it| !it.is_empty()).collect()
}

/// The series of a scrape: name and labels.
fn series(scrape: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let line = |line: &str| {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |text: &str| {
            let (name, value) = text.split_once("=\"").unwrap();
            (name.trim_start_matches(',').to_owned(), value.to_owned())
        };
        let labels = labels.trim_end_matches('}').split_terminator('"').collect::<Vec<_>>();
        let labels = labels.chunks(2).map(|it| label(&it.join("\""))).collect();
        (name.to_owned(), labels)
    };
    scrape.lines().filter(|it| !it.starts_with('#') && !it.is_empty()).map(line).collect()
}

/// Whether a value is one that a matcher's alternative names: a word, or a word with anything behind it.
fn is_named(value: &str, alternative: &str) -> bool {
    alternative.strip_suffix(".*").map_or(value == alternative, |start| value.starts_with(start))
}

async fn scrape(service: &Service) -> String {
    let (status, text) = service.status(Method::GET, &format!("{}/metrics", service.internal)).await;
    assert_eq!(status, 200, "{text}");
    text
}

/// Uploads a register with a request that this service did not make, and waits for its case.
async fn has_a_mismatch(service: &Service) {
    let register = "HEADER,register,nexusbank,1,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,2026-01-02T03:00:00Z\n\
        account_opening_request_id,reference,status,iban,bic,rejection_reason,market,currency,created_at,decided_at\n\
        aor_unknown,,REJECTED,,,,BE,EUR,2026-01-01T08:00:00Z,2026-01-01T09:00:00Z\n\
        TRAILER,1\n";
    let url = format!("{}/v1/reports?provider=nexusbank&kind=register", service.internal);
    let request = service.client.post(url).bearer_auth("development-token").body(register);
    assert_eq!(request.send().await.unwrap().status(), 202);
    eventually("the report is finished", async || {
        let reports = service.get("/v1/reports?state=finished").await;
        (!reports["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    assert_eq!(service.get("/v1/mismatches?state=case").await["items"].as_array().unwrap().len(), 1);
}

/// A service in which an opening waits for the bank, a message could not be read and a register differed, right after its start.
async fn seeded() -> (Service, Simulator) {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::by_hand());
    let world = Simulator::start(options).await.unwrap();
    let (serve, _, _) = migrated().await;
    let service = serve.outside_world(&world.base_url()).start().await;
    let (status, _, opening) = service.open("key-1").await;
    assert_eq!(status, 202, "{opening}");
    service.reaches(opening["id"].as_str().unwrap(), "awaiting_provider").await;
    assert_eq!(service.bank().send("msg_1", &json!("nothing that can be read")).await.unwrap().status(), 200);
    eventually("it is a dead letter", async || {
        let letters = service.get("/v1/dead-letters").await;
        (!letters["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    has_a_mismatch(&service).await;
    let nowhere = format!("{}/webhooks/nobody", service.public);
    assert_eq!(service.client.post(nowhere).body("{}").send().await.unwrap().status(), 404);
    (service, world)
}

/// G5: what a rule names is there before anything happens, so that a first occurrence is an increase; each metric says what it is,
/// and Prometheus' own check has nothing to say.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_alerts_are_in_a_scrape_of_a_service_that_has_just_started() {
    let (service, world) = seeded().await;
    let text = scrape(&service).await;
    let found = series(&text);
    let mut missing = BTreeSet::new();
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    for Alert { name: alert, expression, .. } in &alerts {
        let selectors = selectors(expression);
        assert!(!selectors.is_empty(), "{alert}: {expression}");
        let mut labels = BTreeSet::new();
        for (metric, matchers) in &selectors {
            let of_metric: Vec<_> = found.iter().filter(|(name, _)| name == metric).collect();
            if of_metric.is_empty() {
                missing.insert(format!("{alert}: {metric}"));
            }
            labels.extend(of_metric.iter().flat_map(|(_, labels)| labels.keys().map(String::as_str)));
            for (label, alternatives) in matchers {
                let has =
                    |one: &&String| of_metric.iter().any(|(_, it)| it.get(label).is_some_and(|it| is_named(it, one)));
                missing.extend(
                    alternatives.iter().filter(|it| !has(it)).map(|it| format!("{alert}: {metric} {label}={it}")),
                );
            }
        }
        missing.extend(groupings(expression).difference(&labels).map(|it| format!("{alert}: label {it}")));
    }
    assert_eq!(missing, BTreeSet::new());
    for cause in ["missing", "wrong", "stale"] {
        let zero = format!("account_opening_webhooks_total{{provider=\"nexusbank\",outcome=\"signature_{cause}\"}} 0");
        assert!(text.contains(&zero), "{zero}");
    }
    assert!(text.contains("account_opening_escalations_total{market=\"BE\"} 0"), "{text}");
    assert!(text.contains("\naccount_opening_ready 1\n"), "{text}");
    every_metric_has_its_help(&text, &found);
    promtool_finds_nothing(&text);
    service.stop().await;
    world.stop().await;
}

fn every_metric_has_its_help(text: &str, found: &[(String, BTreeMap<String, String>)]) {
    let without = |name: &str| {
        let metric = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        !text.contains(&format!("# HELP {metric} ")) && !text.contains(&format!("# HELP {name} "))
    };
    let silent: BTreeSet<_> = found.iter().map(|(name, _)| name).filter(|name| without(name)).collect();
    assert!(silent.is_empty(), "without a help text: {silent:?}");
}

/// `promtool check metrics` on a scrape. Where there is no promtool it is left out, but not in CI, which installs it.
fn promtool_finds_nothing(text: &str) {
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match command {
        Ok(promtool) => promtool,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "promtool: {error}");
            eprintln!("promtool is not installed: the scrape is not checked with it");
            return;
        }
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// Each alert has a severity, a summary, a section of the runbook, a case in which it fires, and one in which it does not.
#[test]
fn each_alert_fires_in_one_case_is_quiet_in_another_and_has_a_section_in_the_runbook() {
    let slug = |heading: &str| heading.to_lowercase().replace(' ', "-");
    let sections: BTreeSet<String> = RUNBOOK.lines().filter_map(|it| it.strip_prefix("### ")).map(slug).collect();
    let cases: Vec<&str> = CASES.split("alertname: ").skip(1).collect();
    for Alert { name, severity, summary, runbook, .. } in alerts() {
        assert!(["critical", "warning"].contains(&severity.as_str()), "{name}: {severity}");
        assert!(!summary.is_empty(), "{name}");
        let anchor = runbook.rsplit_once("OPERATIONS.md#").map_or("", |it| it.1);
        assert!(anchor == slug(&name) && sections.contains(anchor), "{name}: {runbook}");
        let of_alert = cases.iter().filter(|it| it.lines().next() == Some(name.as_str()));
        let quiet: BTreeSet<bool> = of_alert.map(|it| it.lines().nth(1).unwrap_or_default().contains("[]")).collect();
        assert_eq!(quiet, BTreeSet::from([false, true]), "{name}: fires in a case, and is quiet in another");
    }
}
