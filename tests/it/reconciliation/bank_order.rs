//! P28, P31: any order, overlap, repetition and split of bank and charges files ends in the same balances and open mismatches.

use std::collections::BTreeSet;

use serde_json::Value;

use super::bank::{ACCOUNT, BANK, Message, Statement, charges, detailed, entry};
use super::charges::{CHARGES, balances};
use super::upload;
use crate::support::TestApp;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}

const SETTLEMENTS: [(&str, &str); 7] = [
    ("stl_1", "10.00"),
    ("stl_2", "20.00"),
    ("stl_20", "20.00"),
    ("stl_3", "30.00"),
    ("stl_4", "-4.00"),
    ("stl_5", "50.00"),
    ("stl_6", "60.00"),
];

/// The statements of two accounts: right and second payments, another amount, a statement that does not add up, and a gap.
fn statements() -> Vec<Statement> {
    let second =
        Statement { account: "BE71096123456769", ..Statement::numbered(4, (0, 400), &[entry("", "-4.00", "stl_4")]) };
    let behind_a_gap = Statement {
        account: "BE71096123456769",
        ..Statement::numbered(6, (9_000, 4_000), &[entry("g", "50.00", "stl_5")])
    };
    vec![
        Statement::numbered(1, (100_000, 97_000), &[entry("a", "10.00", "stl_1"), entry("", "20.00", "Fees stl_2.")]),
        Statement::numbered(
            2,
            (97_000, 94_000),
            &[
                entry("c", "10.00", "stl_1 again"),
                detailed("c", "20.00", "<Refs><EndToEndId>stl_20</EndToEndId></Refs>"),
            ],
        ),
        Statement::numbered(3, (94_000, 90_900), &[entry("e", "31.00", "(stl_3)")]),
        Statement::numbered(4, (90_900, 80_000), &[entry("f", "60.00", "stl_6"), entry("h", "7.00", "stl_77")]),
        second,
        behind_a_gap,
    ]
}

/// Files that together have every statement and settlement: split, overlapping and repeated by chance.
fn files(dice: &mut Dice) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    let all = statements();
    for statement in &all {
        let mut together = vec![statement.clone()];
        if dice.below(3) == 0 {
            together.push(all[dice.below(all.len())].clone());
        }
        together.dedup_by(|a, b| a.id == b.id && a.account == b.account);
        files.push((BANK, Message::statements(&together).text()));
    }
    // A notification has entries that a statement has too.
    let notified = [all[0].entries[0].clone(), all[1].entries[1].clone()];
    files.push((BANK, Message::notification(&notified).text()));
    let middle = 1 + dice.below(SETTLEMENTS.len() - 1);
    for part in [&SETTLEMENTS[..middle], &SETTLEMENTS[middle..], &SETTLEMENTS[middle / 2..=middle]] {
        files.push((CHARGES, charges(part).text()));
    }
    dice.shuffle(&mut files);
    files
}

/// Balances and open mismatches.
async fn end(app: &TestApp) -> (Vec<String>, BTreeSet<String>) {
    let text = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    let items = app.items("/v1/mismatches").await;
    let open = items.iter().filter(|it| matches!(it["state"].as_str(), Some("waiting" | "applied" | "case")));
    let open = open.map(|it| format!("{} {} {}", text(it, "class"), text(it, "state"), text(it, "subject")));
    let cases = app.items("/v1/cases?status=open").await.len();
    let open: BTreeSet<String> = open.collect();
    assert_eq!(cases, open.iter().filter(|it| it.contains(" case ")).count(), "one list of exceptions");
    (balances(app).await, open)
}

async fn run(seed: u64) -> (Vec<String>, BTreeSet<String>) {
    let app = TestApp::start().await;
    for (query, text) in files(&mut Dice(seed)) {
        let uploaded = upload(&app, query, text).await;
        // The same bytes may come twice.
        assert!(matches!(uploaded.status, 200 | 202), "{}", uploaded.body);
        app.settle().await;
    }
    app.pass(chrono::TimeDelta::days(20));
    app.settle().await;
    let end = end(&app).await;
    app.finish().await;
    end
}

#[tokio::test]
async fn any_order_of_files_ends_in_the_same_balances_and_mismatches() {
    assert_eq!(statements()[0].account, ACCOUNT);
    let first = run(0).await;
    // stl_1, stl_2 and stl_20, less the 4 that were given to us.
    assert!(first.0.contains(&"paid EUR 46.00".to_owned()), "{first:?}");
    let classes: Vec<&str> = first.1.iter().filter_map(|it| it.split(' ').next()).collect();
    let count = |class: &str| classes.iter().filter(|it| **it == class).count();
    assert_eq!((count("BALANCE_MISMATCH"), count("STATEMENT_GAP")), (1, 1), "{first:?}");
    // The second payment of stl_1 and the other amount of stl_3.
    assert_eq!(count("BANK_MISMATCH"), 2, "{first:?}");
    for seed in 1..6 {
        assert_eq!(run(seed).await, first, "seed {seed}");
    }
}
