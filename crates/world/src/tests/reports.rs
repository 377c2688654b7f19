//! The bank's files over HTTP, over what really happened at the simulator.

use serde_json::Value;

use super::*;
use crate::reports::PRICE_LIST;

fn dropped(silent: bool) -> Plan {
    Plan { silent, webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::default() }
}

/// Polls until a lookup by reference shows a status; the decision follows the submission in a task of its own.
async fn decided(world: &World, reference: &str) {
    while world.sim.opening(reference).and_then(|it| it.decided_at()).is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_silent_bank_tells_only_its_register_what_it_decided() {
    let world = World::fixed(dropped(true)).await;
    let id = world.accepted("o1").await;
    decided(&world, "o1").await;
    for path in ["/v1/account-opening-requests/{id}", "/v1/account-opening-requests?reference=o1"] {
        let shown = world.get(&path.replace("{id}", &id)).await.text().await.unwrap();
        assert!(shown.contains("IN_PROGRESS") && !shown.contains("NEXUBEBB"), "{shown}");
    }
    let list = world.get("/v1/account-opening-requests?updated_since=2020-01-01T00:00:00Z").await;
    assert!(list.text().await.unwrap().contains("IN_PROGRESS"));

    let register = world.get("/reports/register.csv").await.text().await.unwrap();
    let row = register.lines().nth(2).unwrap();
    assert!(row.starts_with(&format!("{id},o1,COMPLETED,BE")) && row.contains(",NEXUBEBB,,BE,EUR,"), "{row}");
    let plan = world.get("/reports/plan.json").await.json::<Value>().await.unwrap();
    let expected = &plan["divergences"][0];
    assert_eq!((&expected["class"], &expected["lines"]), (&json!("MISSED_ANSWER"), &json!([3])));
    assert_eq!((&expected["reference"], &plan["rows"]["register"]), (&json!("o1"), &json!(1)));
}

#[tokio::test]
async fn the_files_of_a_period_are_those_of_its_requests_as_of_a_moment() {
    let world = World::fixed(dropped(false)).await;
    world.accepted("o1").await;
    decided(&world, "o1").await;
    let rows = async |query: &str| -> Vec<String> {
        let text = world.get(&format!("/reports/charges.csv?{query}")).await.text().await.unwrap();
        text.lines().skip(2).map(str::to_owned).collect()
    };
    let all = rows("divergences=quota").await;
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all[0].contains("request_accepted") && all[1].contains("account_opened") && all[2].contains("settlement"));
    assert_eq!(all[3], "TRAILER,3,EUR=6.66");
    assert_eq!(rows("until=2020-01-01T00:00:00Z").await, ["TRAILER,0,"]);
    let cut = world.get("/reports/charges.csv?cut=true").await.text().await.unwrap();
    assert_eq!(cut.lines().count(), 3);
    assert_eq!(world.get("/reports/prices.csv").await.text().await.unwrap(), PRICE_LIST);
    assert_eq!(world.get("/reports/register.csv?form=yesterday").await.status(), 400);
}
