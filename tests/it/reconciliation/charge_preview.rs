//! P34: the classes that a dry run lists are those that the file has when it is applied.

use std::collections::BTreeMap;

use serde_json::Value;

use super::charges::{CHARGES, Charges, opened, reconcile_text};
use super::upload;
use crate::support::TestApp;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn one_of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

/// The class of each line as it is booked.
async fn booked(app: &TestApp) -> BTreeMap<String, String> {
    let lines: Vec<(String, String)> =
        sqlx::query_as("select line_id, class from charge_lines").fetch_all(&app.pool).await.unwrap();
    lines.into_iter().collect()
}

/// Key, class and rule of each row.
async fn previewed(app: &TestApp, report: &Value) -> Vec<(String, String, String)> {
    assert_eq!(report["state"], "finished", "{report}");
    let rows = app.items(&format!("/v1/reports/{}/rows", report["id"].as_str().unwrap())).await;
    let word = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    rows.iter().map(|it| (word(it, "row_key"), word(it, "class"), word(it, "rule"))).collect()
}

/// Uploads a file without effect, then for good, and compares.
async fn applied_as_previewed(app: &TestApp, text: &str) {
    let before = booked(app).await;
    let dry = upload(app, &format!("{CHARGES}&dry_run=true"), text.to_owned()).await;
    app.settle().await;
    assert_eq!(booked(app).await, before, "a dry run has no effect");
    let dry = app.get(&format!("/v1/reports/{}", dry.id())).await;
    let report = reconcile_text(app, text.to_owned()).await;
    let rows = previewed(app, &dry).await;
    assert_eq!((&rows, &dry["counts"]), (&previewed(app, &report).await, &report["counts"]));
    let after = booked(app).await;
    for (key, class, rule) in rows {
        if class == "CONFLICTING_ROWS" || rule == "same_row_of_this_file" || rule == "a_newer_version_counts" {
            continue;
        }
        let booked = &after[&key];
        let agrees = match class.as_str() {
            "REVISED" => booked == "MATCHED",
            "REPEATED" => booked == "MATCHED" || Some(booked) == before.get(&key),
            class => booked == class,
        };
        assert!(agrees, "{key} was previewed as {class} ({rule}) and is {booked} in\n{text}");
    }
}

async fn rejected(app: &TestApp) -> Value {
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    app.opening(&id).await
}

fn any_row(dice: &mut Dice, named: &[String]) -> String {
    let subject = &named[dice.below(named.len())];
    let code = dice.one_of(&["account_opened", "account_opened", "card_order", "application_rejected"]);
    let settlement = dice.one_of(&["", "stl_0", "stl_1"]);
    match dice.below(14) {
        0 => {
            let (quantity, amount) = [("1", "1.50"), ("2", "3.00"), ("3", "4.50")][dice.below(3)];
            let n = dice.below(3);
            format!("grp_{n},group,application_rejected,{quantity},,,{amount},0.00,EUR,,,,{settlement}")
        }
        1 => {
            let n = dice.below(2);
            let quantity = dice.below(4);
            format!("stl_{n},settlement,,{quantity},,,{quantity}.50,0.00,EUR,,,,stl_{n}")
        }
        2 => format!("chg_{},adjustment,,1,,,1.00,0.00,EUR,,,,{settlement}", dice.below(24)),
        3 | 4 => {
            let amount = dice.one_of(&["-6.05,-1.05", "-1.51,-0.26", "-1.00,0.00"]);
            format!("chg_{},refund,{code},1,{subject},{amount},EUR,,,,{settlement}", dice.below(24))
        }
        _ => {
            let amount = dice.one_of(&["6.05,1.05", "6.05,1.05", "1.51,0.26", "1.50,0.00", "9.99,0.00"]);
            format!("chg_{},charge,{code},1,{subject},{amount},EUR,,,,{settlement}", dice.below(24))
        }
    }
}

#[tokio::test]
async fn any_file_is_applied_as_its_dry_run_says() {
    for seed in 0..3 {
        let app =
            TestApp::with().prices().settings(|it| it.reconciliation.recon_hold = "100%".to_owned()).start().await;
        let mut openings =
            vec![opened(&app, 0).await, opened(&app, 1).await, rejected(&app).await, rejected(&app).await];
        let (waiting, _) = app.open().waiting().await;
        openings.push(app.opening(&waiting).await);
        let of = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
        let mut named: Vec<String> =
            openings.iter().map(|it| format!("{},{}", of(it, "provider_reference"), of(it, "id"))).collect();
        named.push(format!(",{}", of(&openings[0], "id")));
        named.push("aor_stranger,".to_owned());
        named.push(format!("{},{}", of(&openings[0], "provider_reference"), of(&openings[1], "id")));
        let mut dice = Dice(seed);
        for n in 0..8 {
            let mut file = Charges::default().row(&format!("adj_{n},adjustment,,1,,,0.01,0.00,EUR,,,,"));
            for _ in 0..=dice.below(14) {
                file = file.row(&any_row(&mut dice, &named));
            }
            let hours = u32::try_from(dice.below(12)).unwrap();
            let whole = file.later(hours);
            let text = if dice.below(4) == 0 { whole[..whole.rfind("TRAILER").unwrap()].to_owned() } else { whole };
            applied_as_previewed(&app, &text).await;
        }
        app.finish().await;
    }
}

/// Rows of one fee, and rows that contradict each other, in different slices of a file.
#[tokio::test]
async fn a_file_of_several_slices_is_applied_as_its_dry_run_says() {
    let app = TestApp::with().prices().settings(|it| it.reconciliation.recon_hold = "100%".to_owned()).start().await;
    let (a, b) = (opened(&app, 0).await, opened(&app, 1).await);
    let known = Charges::default().charge("chg_6", "card_order", &b, "1.51", "0.26");
    applied_as_previewed(&app, &known.text()).await;
    let mut file = Charges::default()
        .charge("chg_2", "account_opened", &a, "6.05", "1.05")
        .charge("chg_3", "card_order", &a, "1.51", "0.26")
        .charge("chg_4", "account_opened", &b, "6.05", "1.05")
        .charge("chg_5", "account_opened", &b, "6.05", "1.05")
        .charge("chg_7", "card_order", &b, "1.51", "0.26")
        .row("chg_8,charge,account_opened,1,aor_stranger,,6.05,1.05,EUR,,,,");
    for n in 0..10_000 {
        file = file.row(&format!("stl_{n},settlement,,0,,,0.00,0.00,EUR,,,,stl_{n}"));
    }
    let file = file
        .charge("chg_1", "account_opened", &a, "6.05", "1.05")
        .charge("chg_4", "account_opened", &b, "7.00", "1.05")
        // This line leaves the fee of chg_7.
        .charge("chg_6", "application", &b, "0.50", "0.00")
        .row("rfd_1,refund,account_opened,1,aor_stranger,,-6.05,-1.05,EUR,,,,");
    applied_as_previewed(&app, &file.later(1)).await;
    let booked = booked(&app).await;
    let of = |keys: [&str; 6]| keys.map(|it| booked[it].clone());
    assert_eq!(
        of(["chg_1", "chg_2", "chg_5", "chg_7", "chg_8", "rfd_1"]),
        ["MATCHED", "DUPLICATE_CHARGE", "MATCHED", "MATCHED", "MATCHED", "MATCHED"],
    );
    app.finish().await;
}
