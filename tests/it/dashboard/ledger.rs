//! The fee ledger's page: lines, balances, and settlements as a tree.

use reqwest::Method;

use super::{READER, Visitor, recorded_acts};
use crate::reconciliation::upload;
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const COLUMNS: &str = "line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,\
                       original_currency,fx_rate,settlement_id,occurred_at,booked_on,description";

/// A charges file of January with the fees of one opening and their settlement.
fn charges(reference: &str, settlement: &str, sum: &str) -> String {
    let rest = ",EUR,,,,stl_1,2026-01-01T09:30:00Z,2026-01-02,Fee\n";
    format!(
        "HEADER,charges,nexusbank,1,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-02-01T03:00:00Z\n{COLUMNS}\n\
         chg_1,charge,application,1,{reference},,0.50,0.00{rest}\
         chg_2,charge,account_opened,1,{reference},,6.05,1.05{rest}\
         stl_1,settlement,,2,,,{settlement},1.05{rest}TRAILER,3,EUR={sum}\n"
    )
}

/// A node of the tree of a settlement.
fn node<'a>(page: &'a str, name: &str) -> &'a str {
    let tree = page.split("data-settlement=\"stl_1\"").nth(1).unwrap_or_else(|| panic!("no settlement: {page}"));
    tree.split(&format!("data-node=\"{name}\"")).nth(1).unwrap().split("data-node=").next().unwrap()
}

async fn completed(app: &TestApp) -> (String, String) {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    (id, reference)
}

#[tokio::test]
async fn lines_and_balances_are_rests_and_the_filters_too() {
    let app = TestApp::with().prices().start().await;
    let (id, _) = completed(&app).await;
    app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let ids = |page: &str| -> Vec<String> {
        page.split("data-line=\"").skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect()
    };
    for query in [String::new(), format!("?opening_id={id}"), "?account=cost".to_owned(), "?account=paid".to_owned()] {
        let rests: Vec<String> = app
            .items(&format!("/v1/fee-ledger{query}"))
            .await
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids(&visitor.page(&format!("/ledger{query}")).await), rests, "{query}");
    }
    let page = visitor.page("/ledger?opening_id=&account=&limit=2").await;
    assert!(page.contains("rel=\"next\" href=\"/ledger?opening_id=&#38;account=&#38;limit=2&#38;cursor="), "{page}");
    assert!(page.contains("data-account=\"expected\"") && page.contains(">-8.56</td>"), "{page}");
    assert!(page.contains("No settlement has come yet"));
    for wrong in ["account=x", "opening_id=x", "x=1"] {
        assert!([400, 422].contains(&visitor.get(&format!("/ledger?{wrong}")).await.status().as_u16()), "{wrong}");
    }
    let csv = visitor.get(&format!("/ledger.csv?opening_id={id}")).await.text().await.unwrap();
    assert_eq!(csv.lines().count(), 4, "{csv}");
    let other = visitor.request(Method::GET, "/ledger.csv").header("sec-fetch-site", "cross-site");
    assert_eq!(other.send().await.unwrap().status(), 403);
    assert_eq!(recorded_acts(&app).await, ["sign_in", "export"]);
    app.finish().await;
}

#[tokio::test]
async fn a_settlement_whose_lines_do_not_add_up_is_marked_at_its_node() {
    let app = TestApp::with().prices().start().await;
    let (id, reference) = completed(&app).await;
    let file = charges(&reference, "7.55", "6.55");
    let uploaded = upload(&app, "provider=nexusbank&kind=charges", file).await;
    assert_eq!(uploaded.status, 202, "{}", uploaded.body);
    app.settle().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/ledger").await;
    let lines = node(&page, "lines");
    assert!(lines.contains("data-differs") && lines.contains("2 of 2 lines, 6.55 EUR, off by -1.00 EUR"), "{lines}");
    assert!(
        lines.contains("chg_2 charge account_opened: 6.05 EUR") && lines.contains(&format!("/openings/{id}")),
        "{lines}"
    );
    assert!(node(&page, "total").contains("7.55 EUR"));
    let bank = node(&page, "bank");
    assert!(bank.contains("not paid yet") && !bank.contains("data-differs"), "{bank}");
    assert!(visitor.page(&format!("/ledger?opening_id={id}")).await.contains("data-settlement=\"stl_1\""));
    let other = app.open().start().await;
    app.settle().await;
    assert!(!visitor.page(&format!("/ledger?opening_id={other}")).await.contains("data-settlement"));
    app.finish().await;
}

#[tokio::test]
async fn settlements_page_by_key_and_the_lines_stay_where_they_are() {
    let app = TestApp::with().prices().start().await;
    let (_, reference) = completed(&app).await;
    upload(&app, "provider=nexusbank&kind=charges", charges(&reference, "6.55", "6.55")).await;
    app.settle().await;
    let copies = "insert into charge_lines
        select (jsonb_populate_record(c, jsonb_build_object('line_id', 'stl_' || n, 'settlement_id', 'stl_' || n, 'line', 100 + n))).*
          from charge_lines c, generate_series(2, 25) as n where c.line_type = 'settlement'";
    sqlx::raw_sql(copies).execute(&app.pool).await.unwrap();
    let visitor = Visitor::signed_in(&app, READER).await;
    let ids = |page: &str, name: &str| -> Vec<String> {
        let before = format!("data-{name}=\"");
        page.split(before.as_str()).skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect()
    };
    let newest = visitor.page("/ledger?limit=1").await;
    let of_tree = newest.split("id=\"settlements\"").nth(1).unwrap().split("</section>").next().unwrap();
    let older = of_tree.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    assert!(older.starts_with("/ledger?limit=1&settlements="), "{older}");
    let oldest = visitor.page(&older).await;
    let all = [ids(&newest, "settlement"), ids(&oldest, "settlement")];
    assert_eq!((all[0].len(), all[1].len()), (20, 5));
    assert_eq!(all.concat().into_iter().collect::<std::collections::BTreeSet<_>>().len(), 25, "each stands once");
    assert_eq!(ids(&newest, "line"), ids(&oldest, "line"));
    assert!(!oldest.contains("Older settlements"));
    assert!(oldest.contains("href=\"/ledger.csv\""), "the CSV is of the lines alone");
    for wrong in ["settlements=x", "settlements=1~2"] {
        assert_eq!(visitor.get(&format!("/ledger?{wrong}")).await.status(), 422, "{wrong}");
    }
    sqlx::query("delete from charge_lines where line > 100").execute(&app.pool).await.unwrap();
    app.finish().await;
}

#[tokio::test]
async fn a_settlement_that_adds_up_is_good() {
    let app = TestApp::with().prices().start().await;
    let (_, reference) = completed(&app).await;
    upload(&app, "provider=nexusbank&kind=charges", charges(&reference, "6.55", "6.55")).await;
    app.settle().await;
    let page = Visitor::signed_in(&app, READER).await.page("/ledger").await;
    let lines = node(&page, "lines");
    assert!(lines.contains("data-state=\"adds_up\"") && !lines.contains("data-differs"), "{lines}");
    app.finish().await;
}
