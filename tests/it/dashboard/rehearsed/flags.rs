//! Setting the flag: of the newest openings, as many change their flow as was announced, and later openings follow the rule.

use serde_json::Value;
use sha2::{Digest, Sha256};
use world::Plan;

use super::{Announced, Visitor, act, changed};
use crate::support::{TOKEN, TestApp};

/// A rule: market and customer type (empty: all), whether it is on, and for which share.
type Rule = (&'static str, &'static str, bool, u8);

/// Each rule is set in the state that those before it left, the first without any rule. No rule is ever removed: one that is on for
/// all of its scope decides as if it were not there, unless a wider rule says otherwise.
const RULES: [Rule; 9] = [
    ("BE", "", false, 100),
    ("BE", "", false, 100),
    ("BE", "", true, 100),
    ("", "", true, 50),
    ("NL", "company", true, 0),
    ("", "company", false, 100),
    ("NL", "company", true, 100),
    ("BE", "company", true, 30),
    ("", "", true, 100),
];
const KINDS: [(&str, &str); 4] = [("BE", "company"), ("BE", "freelancer"), ("NL", "company"), ("NL", "freelancer")];

/// Starts an opening of each kind; no caller waits for the legacy flow. The openings, whole.
async fn start(app: &TestApp) -> Vec<Value> {
    let mut started = Vec::new();
    for (market, customer_type) in KINDS {
        let opening = app.open().market(market).body(|it| it["customer_type"] = customer_type.into());
        let opening = opening.plan(Plan::default());
        started.push(app.opening(&opening.start().await).await);
    }
    started
}

/// Whether an opening that names no flow starts on the asynchronous one, by the rules as REST lists them.
fn is_async(rules: &[Value], opening: &Value) -> bool {
    let narrow = |rule: &Value| ["market", "customer_type"].map(|it| !rule[it].is_null());
    let fits =
        |rule: &&Value| ["market", "customer_type"].iter().all(|it| rule[*it].is_null() || rule[*it] == opening[*it]);
    let Some(rule) = rules.iter().filter(fits).max_by_key(|it| narrow(it)) else { return true };
    let id: uuid::Uuid = opening["id"].as_str().unwrap().parse().unwrap();
    let digest = Sha256::new().chain_update("async-account-opening").chain_update(id.as_bytes()).finalize();
    let place = u64::from_be_bytes(digest[..8].try_into().unwrap()) % 100;
    rule["enabled"] == true && place < rule["percentage"].as_u64().unwrap()
}

async fn set(app: &TestApp, admin: &Visitor, (market, customer_type, enabled, percentage): Rule) -> Announced {
    let (enabled, percentage) = (enabled.to_string(), percentage.to_string());
    let confirm = if market.is_empty() { "all" } else { market };
    let rule = [
        ("market", market),
        ("customer_type", customer_type),
        ("enabled", enabled.as_str()),
        ("percentage", percentage.as_str()),
    ];
    let query: Vec<String> = rule.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let path = format!("/flags/set?{}", query.join("&"));
    act(app, admin, &path, "set_flag", &[&rule[..], &[("confirm", confirm)]].concat()).await
}

#[tokio::test]
async fn every_rule_of_the_flag_in_every_state_moves_what_was_announced() {
    let app = TestApp::with().settings(|it| it.sync_wait = "1ms".to_owned()).start().await;
    let admin = Visitor::signed_in(&app, TOKEN).await;
    let mut openings = Vec::new();
    for _ in 0..3 {
        openings.extend(start(&app).await);
    }
    let rules = async || app.items("/v1/feature-flags").await;
    let mut moves = Vec::new();
    for rule in RULES {
        let (before, rows) = (rules().await, app.rows().await);
        let announced = set(&app, &admin, rule).await;
        assert_eq!(changed(&app, &rows).await, ["feature_flag_changes", "operator_actions"], "{rule:?}");
        let then = rules().await;
        let count = |is: &dyn Fn(&Value) -> bool| openings.iter().filter(|it| is(it)).count();
        let (all, others) = (openings.len(), count(&|it| is_async(&before, it) != is_async(&then, it)));
        let (was, will) = (count(&|it| is_async(&before, it)), count(&|it| is_async(&then, it)));
        for line in [
            format!("looks at the newest {all} openings, as if their callers had named no flow"),
            format!("starts {will} of them on the asynchronous flow; the rules of now start {was}"),
            format!("starts {others} of them on another flow than now"),
        ] {
            assert!(announced.lines.contains(&line), "{rule:?}: no {line:?} in {announced:?}");
        }
        let later = start(&app).await;
        for it in &later {
            assert_eq!(it["flow"] == "async", is_async(&then, it), "{rule:?}: {it}");
        }
        openings.extend(later);
        moves.push(others > 0);
    }
    assert!(moves[0] && !moves[1] && moves[2], "off, again off, on again: {moves:?}");
    app.finish().await;
}
