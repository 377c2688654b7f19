//! Bank statements beside settlements: what an entry pays, what statements must add up to, and what is left to a person.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::charges::{CHARGES, Charges, balances};
use super::{mismatches, upload};
use crate::support::TestApp;

pub const BANK: &str = "provider=nexusbank&kind=bank";

/// A camt message, written by hand.
#[derive(Clone, Default)]
pub struct Message {
    is_notification: bool,
    made: String,
    statements: Vec<Statement>,
}

/// A statement of euros.
#[derive(Clone, Default)]
pub struct Statement {
    pub id: String,
    pub account: &'static str,
    pub number: Option<u32>,
    pub page: Option<u32>,
    /// Cents before and after it; none: no balances.
    pub balances: Option<(i64, i64)>,
    pub entries: Vec<String>,
}

pub const ACCOUNT: &str = "BE68539007547034";

impl Message {
    /// camt.053
    pub fn statements(statements: &[Statement]) -> Self {
        Self { is_notification: false, made: "2026-01-05T18:00:00Z".to_owned(), statements: statements.to_vec() }
    }

    /// camt.054
    pub fn notification(entries: &[String]) -> Self {
        let statement = Statement { id: "N1".to_owned(), account: ACCOUNT, ..Statement::default() };
        let statements = vec![Statement { entries: entries.to_vec(), ..statement }];
        Self { is_notification: true, made: "2026-01-04T18:00:00Z".to_owned(), statements }
    }

    pub fn made(self, made: &str) -> Self {
        Self { made: made.to_owned(), ..self }
    }

    pub fn text(&self) -> String {
        let (message, root, statement) = if self.is_notification {
            ("camt.054.001.08", "BkToCstmrDbtCdtNtfctn", "Ntfctn")
        } else {
            ("camt.053.001.08", "BkToCstmrStmt", "Stmt")
        };
        let statements: String = self.statements.iter().map(|it| it.text(statement)).collect();
        let made = &self.made;
        format!(
            "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:{message}\"><{root}>\n<GrpHdr><MsgId>1</MsgId><CreDtTm>{made}\
             </CreDtTm></GrpHdr>\n{statements}</{root}></Document>"
        )
    }

    /// Without its end.
    pub fn cut(&self) -> String {
        let text = self.text();
        text[..text.rfind("</Stmt>").unwrap()].to_owned()
    }
}

impl Statement {
    /// The statement with this number of the first account.
    pub fn numbered(number: u32, balances: (i64, i64), entries: &[String]) -> Self {
        Self {
            id: format!("S{number}"),
            account: ACCOUNT,
            number: Some(number),
            page: None,
            balances: Some(balances),
            entries: entries.to_vec(),
        }
    }

    fn text(&self, element: &str) -> String {
        let tag = |name: &str, value: Option<u32>| value.map(|it| format!("<{name}>{it}</{name}>")).unwrap_or_default();
        let page = self.page.map(|it| format!("<StmtPgntn><PgNb>{it}</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>"));
        let balance = |code: &str, cents: i64| {
            let way = if cents < 0 { "DBIT" } else { "CRDT" };
            let amount = rust_decimal::Decimal::new(cents.abs(), 2);
            format!(
                "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd></Bal>"
            )
        };
        let balances = self.balances.map(|it| balance("OPBD", it.0) + &balance("CLBD", it.1)).unwrap_or_default();
        let account = format!("<Acct><Id><IBAN>{}</IBAN></Id></Acct>", self.account);
        let (id, number) = (&self.id, tag("ElctrncSeqNb", self.number));
        let (page, entries) = (page.unwrap_or_default(), self.entries.concat());
        format!("<{element}><Id>{id}</Id>{page}{number}{account}{balances}\n{entries}</{element}>\n")
    }
}

/// An entry that pays out, or in where its amount is negative, with a text.
pub fn entry(bank_id: &str, amount: &str, text: &str) -> String {
    detailed(bank_id, amount, &format!("<RmtInf><Ustrd>{text}</Ustrd></RmtInf>"))
}

/// An entry with details.
pub fn detailed(bank_id: &str, amount: &str, details: &str) -> String {
    let (way, amount) = amount.strip_prefix('-').map_or(("DBIT", amount), |amount| ("CRDT", amount));
    let bank_id = if bank_id.is_empty() { String::new() } else { format!("<AcctSvcrRef>{bank_id}</AcctSvcrRef>") };
    format!(
        "<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-01-04</Dt>\
         </BookgDt>{bank_id}<NtryDtls><TxDtls>{details}</TxDtls></NtryDtls></Ntry>\n"
    )
}

/// Charges of settlements, each with its amount.
pub fn charges(settlements: &[(&str, &str)]) -> Charges {
    settlements.iter().fold(Charges::default(), |file, (id, amount)| {
        file.row(&format!("adj_{id},adjustment,,1,,,{amount},0.00,EUR,,,,{id}"))
            .row(&format!("{id},settlement,,1,,,{amount},0.00,EUR,,,,{id}"))
    })
}

/// Uploads a file and lets the workers finish it.
pub async fn send(app: &TestApp, query: &str, text: String) -> Value {
    let uploaded = upload(app, query, text).await;
    assert_eq!(uploaded.status, 202, "{}", uploaded.body);
    app.settle().await;
    app.get(&format!("/v1/reports/{}", uploaded.id())).await
}

pub async fn charged(app: &TestApp, settlements: &[(&str, &str)]) {
    let report = send(app, CHARGES, charges(settlements).text()).await;
    assert_eq!(report["state"], "finished", "{report}");
}

pub async fn statement(app: &TestApp, statement: Statement) -> Value {
    send(app, BANK, Message::statements(&[statement]).text()).await
}

/// The balance of `paid`, in euros.
pub async fn paid(app: &TestApp) -> String {
    let balances = balances(app).await;
    let paid = balances.iter().find_map(|it| it.strip_prefix("paid EUR "));
    paid.unwrap_or("0").to_owned()
}

async fn rows(app: &TestApp, report: &Value) -> Vec<String> {
    let rows = app.items(&format!("/v1/reports/{}/rows", report["id"].as_str().unwrap())).await;
    rows.iter().map(|it| format!("{} {}", it["class"], it["rule"]).replace('"', "")).collect()
}

#[tokio::test]
async fn an_entry_pays_the_settlement_that_it_names() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00"), ("stl_90", "6.00"), ("stl_8", "-2.50")]).await;
    let entries = [
        detailed("b1", "300.00", "<Refs><EndToEndId>stl_9</EndToEndId></Refs>"),
        detailed("b2", "6.00", "<RmtInf><Strd><CdtrRefInf><Ref>stl_90</Ref></CdtrRefInf></Strd></RmtInf>"),
        entry("b3", "-2.50", "NexusBank gives back, settlement stl_8."),
        entry("b4", "750.00", "Rent of the office"),
    ];
    let report = statement(&app, Statement::numbered(1, (200_000, 94_650), &entries)).await;
    assert_eq!((&report["state"], &report["complete"]), (&json!("finished"), &json!(true)), "{report}");
    assert_eq!(report["counts"], json!({"MATCHED": 3, "UNRELATED": 1}));
    assert!(mismatches(&app).await.is_empty());
    assert_eq!(paid(&app).await, "303.50");
    assert!(balances(&app).await.contains(&"charged EUR 0.00".to_owned()), "{:?}", balances(&app).await);
    let lines = app.items("/v1/fee-ledger?account=paid").await;
    let of = |id: &str| lines.iter().find(|it| it["settles"] == id).unwrap_or_else(|| panic!("{id}: {lines:?}"));
    let nine = of("stl_9");
    assert_eq!(
        (&nine["debit"], &nine["credit"], &nine["amount"]),
        (&json!("charged"), &json!("paid"), &json!("300.00"))
    );
    assert_eq!((&nine["cause"], &nine["report_id"]), (&json!("payment:nexusbank:stl_9:EUR:0"), &report["id"]));
    let eight = of("stl_8");
    assert_eq!(
        (&eight["debit"], &eight["credit"], &eight["amount"]),
        (&json!("paid"), &json!("charged"), &json!("2.50"))
    );
    let named: Vec<Value> = app
        .items(&format!("/v1/reports/{}/rows?class=MATCHED", report["id"].as_str().unwrap()))
        .await
        .iter()
        .map(|it| it["reference"].clone())
        .collect();
    assert_eq!(named, ["stl_9", "stl_90", "stl_8"]);
    app.finish().await;
}

#[tokio::test]
async fn an_entry_that_does_not_fit_is_a_case_and_pays_nothing() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_1", "10.00"), ("stl_2", "20.00"), ("stl_3", "30.00")]).await;
    let entries = [
        entry("b1", "10.01", "stl_1"),
        entry("b2", "20.00", "stl_2"),
        entry("b3", "20.00", "stl_2 again"),
        entry("b4", "-30.00", "stl_3"),
    ];
    let report = statement(&app, Statement::numbered(1, (10_000, 7_999), &entries)).await;
    assert_eq!(report["counts"], json!({"MATCHED": 1, "BANK_MISMATCH": 3}), "{:?}", rows(&app, &report).await);
    assert_eq!(paid(&app).await, "20.00");
    let found = app.items("/v1/mismatches?class=BANK_MISMATCH").await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|it| it["state"] == "case" && it["reports"][0]["id"] == report["id"]), "{found:?}");
    let first = found.iter().find(|it| it["theirs"]["amount"] == "10.01").unwrap();
    assert_eq!(first["differences"], json!([{"field": "amount", "ours": "10.00", "theirs": "10.01", "delta": "0.01"}]));
    let case = app.get(&format!("/v1/cases/{}", first["case_id"].as_str().unwrap())).await;
    assert_eq!((&case["kind"], &case["opening_id"]), (&json!("bank_mismatch"), &Value::Null));
    app.finish().await;
}

/// P28: the file with the settlement may come after its payment.
#[tokio::test]
async fn a_payment_waits_for_its_settlement() {
    let app = TestApp::start().await;
    let report = statement(&app, Statement::numbered(1, (0, -30_000), &[entry("b1", "300.00", "Fees stl_9")])).await;
    assert_eq!(report["counts"], json!({"TIMING_MISMATCH": 1}));
    assert_eq!(
        (mismatches(&app).await, paid(&app).await),
        (vec!["TIMING_MISMATCH waiting".to_owned()], "0".to_owned())
    );
    charged(&app, &[("stl_9", "300.00")]).await;
    let open = mismatches(&app).await;
    assert_eq!((open, paid(&app).await), (vec!["TIMING_MISMATCH settled".to_owned()], "300.00".to_owned()));
    let late = statement(&app, Statement::numbered(2, (-30_000, -40_000), &[entry("b2", "100.00", "stl_7")])).await;
    assert_eq!(late["counts"], json!({"TIMING_MISMATCH": 1}));
    app.pass(TimeDelta::days(9));
    app.settle().await;
    let found = app.items("/v1/mismatches?class=BANK_MISMATCH&state=case").await;
    assert_eq!(found[0]["suggested"]["because"], json!(["no charges file has the settlement that the entry names"]));
    charged(&app, &[("stl_7", "100.00")]).await;
    assert!(app.items("/v1/mismatches?class=BANK_MISMATCH&state=case").await.is_empty());
    let case = app.get(&format!("/v1/cases/{}", found[0]["case_id"].as_str().unwrap())).await;
    assert_eq!((&case["status"], &case["resolved_by"]), (&json!("resolved"), &json!("reconciliation")));
    assert!(case["reason"].as_str().unwrap().starts_with("report "), "{case}");
    assert_eq!(paid(&app).await, "400.00");
    app.finish().await;
}

#[tokio::test]
async fn an_unpaid_settlement_is_a_case_after_its_window_where_statements_are_sent() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    app.pass(TimeDelta::days(7));
    app.settle().await;
    assert!(app.items("/v1/mismatches?class=BANK_MISMATCH").await.is_empty(), "no statement was sent");
    let cut = Message::statements(&[Statement::numbered(1, (0, -500), &[entry("b0", "5.00", "Rent")])]).cut();
    send(&app, BANK, cut).await;
    assert!(app.items("/v1/mismatches?class=BANK_MISMATCH").await.is_empty(), "P30: the file is incomplete");
    statement(&app, Statement::numbered(1, (0, -500), &[entry("b0", "5.00", "Rent")])).await;
    let found = app.items("/v1/mismatches?class=BANK_MISMATCH&state=case").await;
    assert_eq!((found.len(), &found[0]["subject"]), (1, &json!("stl_9")), "{found:?}");
    let paying = statement(&app, Statement::numbered(2, (-500, -30_500), &[entry("b1", "300.00", "stl_9")])).await;
    assert_eq!(paid(&app).await, "300.00");
    let case = app.get(&format!("/v1/cases/{}", found[0]["case_id"].as_str().unwrap())).await;
    let reason = format!("report {}: a bank entry names it", paying["id"].as_str().unwrap());
    assert_eq!((&case["resolved_by"], &case["reason"]), (&json!("reconciliation"), &json!(reason)));
    app.finish().await;
}

#[tokio::test]
async fn an_entry_that_two_files_repeat_pays_once() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00"), ("stl_8", "5.00")]).await;
    let first = detailed("b1", "300.00", "<Refs><EndToEndId>stl_9</EndToEndId></Refs>");
    let notified = [first.clone(), entry("", "5.00", "Fees, stl_8")];
    let report = send(&app, BANK, Message::notification(&notified).text()).await;
    assert_eq!(report["counts"], json!({"MATCHED": 2}), "{:?}", rows(&app, &report).await);
    let more = [&notified[..], &[entry("b9", "1.00", "Other")]].concat();
    let report = statement(&app, Statement::numbered(1, (50_000, 19_400), &more)).await;
    assert_eq!(report["counts"], json!({"REPEATED": 2, "UNRELATED": 1}), "{:?}", rows(&app, &report).await);
    assert_eq!(paid(&app).await, "305.00");
    assert_eq!(app.items("/v1/fee-ledger?account=paid").await.len(), 2);
    // The same bank reference on another day is another entry.
    let second = first.replace("2026-01-04", "2026-01-05");
    let report = statement(&app, Statement::numbered(2, (19_400, -10_600), &[second])).await;
    assert_eq!(report["counts"], json!({"BANK_MISMATCH": 1}), "{:?}", rows(&app, &report).await);
    assert_eq!(paid(&app).await, "305.00");
    app.finish().await;
}

#[tokio::test]
async fn equal_entries_of_one_statement_are_two() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    let twice = [entry("", "300.00", "stl_9"), entry("", "300.00", "stl_9")];
    let report = statement(&app, Statement::numbered(1, (0, -60_000), &twice)).await;
    assert_eq!(report["counts"], json!({"MATCHED": 1, "BANK_MISMATCH": 1}), "{:?}", rows(&app, &report).await);
    assert_eq!(paid(&app).await, "300.00");
    app.finish().await;
}

#[tokio::test]
async fn nothing_of_a_statement_that_does_not_add_up_is_settled_until_it_is_corrected() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    let entries = [entry("b1", "300.00", "stl_9"), entry("b2", "1.00", "Other")];
    let report = statement(&app, Statement::numbered(1, (0, -30_000), &entries)).await;
    assert_eq!(report["counts"], json!({"BALANCE_MISMATCH": 1, "UNRELATED": 1}), "{:?}", rows(&app, &report).await);
    let found = app.items("/v1/mismatches?class=BALANCE_MISMATCH").await;
    assert_eq!((found.len(), &found[0]["state"], paid(&app).await), (1, &json!("case"), "0".to_owned()), "{found:?}");
    assert_eq!(found[0]["differences"][0]["delta"], "1.00");
    let corrected = Message::statements(&[Statement::numbered(1, (0, -30_100), &entries)]);
    let report = send(&app, BANK, corrected.made("2026-01-06T18:00:00Z").text()).await;
    assert_eq!(report["counts"], json!({"MATCHED": 1, "UNRELATED": 1}), "{:?}", rows(&app, &report).await);
    assert_eq!(paid(&app).await, "300.00");
    let case = app.get(&format!("/v1/cases/{}", found[0]["case_id"].as_str().unwrap())).await;
    let reason = format!("report {}: the statement adds up and follows on", report["id"].as_str().unwrap());
    assert_eq!((&case["status"], &case["reason"]), (&json!("resolved"), &json!(reason)));
    app.finish().await;
}

#[tokio::test]
async fn a_gap_before_a_statement_keeps_it_back_until_the_missing_one_comes() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    statement(&app, Statement::numbered(1, (0, -100), &[entry("b1", "1.00", "Other")])).await;
    let third = Statement::numbered(3, (-200, -30_200), &[entry("b3", "300.00", "stl_9")]);
    let report = statement(&app, third).await;
    assert_eq!(report["counts"], json!({"STATEMENT_GAP": 1}), "{:?}", rows(&app, &report).await);
    let found = app.items("/v1/mismatches?class=STATEMENT_GAP").await;
    assert_eq!((found.len(), &found[0]["state"], paid(&app).await), (1, &json!("case"), "0".to_owned()), "{found:?}");
    let missing = statement(&app, Statement::numbered(2, (-100, -200), &[entry("b2", "1.00", "Other")])).await;
    assert_eq!(paid(&app).await, "300.00");
    let case = app.get(&format!("/v1/cases/{}", found[0]["case_id"].as_str().unwrap())).await;
    let reason = format!("report {}: the statement adds up and follows on", missing["id"].as_str().unwrap());
    assert_eq!((&case["status"], &case["reason"]), (&json!("resolved"), &json!(reason)));
    app.finish().await;
}

/// An earlier statement that comes later shows a gap: what was paid by the statement behind it is taken back until the gap is closed.
#[tokio::test]
async fn a_gap_that_shows_later_takes_a_payment_back() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_9", "300.00")]).await;
    let third = Statement::numbered(3, (-200, -30_200), &[entry("b3", "300.00", "stl_9")]);
    statement(&app, third).await;
    assert_eq!(paid(&app).await, "300.00");
    statement(&app, Statement::numbered(1, (0, -100), &[entry("b1", "1.00", "Other")])).await;
    assert_eq!(paid(&app).await, "0.00");
    statement(&app, Statement::numbered(2, (-100, -200), &[entry("b2", "1.00", "Other")])).await;
    assert_eq!(paid(&app).await, "300.00");
    assert_eq!(app.items("/v1/fee-ledger?account=paid").await.len(), 3, "booked, reversed, booked");
    app.finish().await;
}

#[tokio::test]
async fn several_accounts_and_pages_in_several_files_are_read_together() {
    let app = TestApp::start().await;
    charged(&app, &[("stl_1", "1.00"), ("stl_2", "2.00"), ("stl_3", "3.00")]).await;
    let page = |page: u32, balances, text: &str, amount: &str| Statement {
        page: Some(page),
        ..Statement::numbered(7, balances, &[entry("", amount, text)])
    };
    let other =
        Statement { account: "BE71096123456769", ..Statement::numbered(7, (0, -300), &[entry("", "3.00", "stl_3")]) };
    let first = Message::statements(&[page(1, (1_000, 900), "stl_1", "1.00"), other]);
    let report = send(&app, BANK, first.text()).await;
    assert_eq!(report["counts"], json!({"MATCHED": 2}), "{:?}", rows(&app, &report).await);
    let report = statement(&app, page(2, (900, 700), "stl_2", "2.00")).await;
    assert_eq!(report["counts"], json!({"MATCHED": 1}), "{:?}", rows(&app, &report).await);
    assert_eq!(paid(&app).await, "6.00");
    app.finish().await;
}
