//! Reports of providers: what is received, found, repaired and put in front of a person.

pub mod bank;
mod bank_effects;
mod bank_order;
mod charge_findings;
mod charge_preview;
pub mod charges;
mod erasure;
mod events;
mod evidence;
mod files;
mod hostile;
mod import;
mod pulls;
mod register;
mod register_files;
mod statements;

use account_opening::clock::Time;
use serde_json::Value;

use crate::support::{TOKEN, TestApp};

/// A register of `NexusBank`, written by hand.
pub struct Register {
    pub from: Time,
    pub until: Time,
    pub as_of: Time,
    rows: Vec<String>,
}

const COLUMNS: &str =
    "account_opening_request_id,reference,status,iban,bic,rejection_reason,market,currency,created_at,decided_at";

impl Register {
    /// Of a day, looked at three hours after it.
    pub fn of_day(day: &str) -> Self {
        let from: Time = format!("{day}T00:00:00Z").parse().unwrap();
        let until = from + chrono::TimeDelta::days(1);
        Self { from, until, as_of: until + chrono::TimeDelta::hours(3), rows: Vec::new() }
    }

    pub fn row(mut self, row: &str) -> Self {
        self.rows.push(row.to_owned());
        self
    }

    /// A row about an opening, as the bank holds it.
    pub fn about(self, opening: &Value, status: &str, iban: &str) -> Self {
        let text = |name: &str| opening[name].as_str().unwrap_or_default().to_owned();
        let bic = if iban.is_empty() { "" } else { "NEXUBEBB" };
        let reason = if status == "REJECTED" { "kyc" } else { "" };
        let decided = if matches!(status, "COMPLETED" | "REJECTED") { "2026-01-01T09:30:00Z" } else { "" };
        let row = format!(
            "{},{},{status},{iban},{bic},{reason},{},{},2026-01-01T08:00:00Z,{decided}",
            text("provider_reference"),
            text("id"),
            text("market"),
            text("currency"),
        );
        self.row(&row)
    }

    pub fn text(&self) -> String {
        let (rows, count) = (self.rows.join("\n"), self.rows.len());
        let break_ = if rows.is_empty() { "" } else { "\n" };
        let time = |it: Time| it.format("%Y-%m-%dT%H:%M:%SZ");
        let (from, until, as_of) = (time(self.from), time(self.until), time(self.as_of));
        format!("HEADER,register,nexusbank,1,{from},{until},{as_of}\n{COLUMNS}\n{rows}{break_}TRAILER,{count}\n")
    }

    /// Without its end.
    pub fn cut(&self) -> String {
        let text = self.text();
        text[..text.rfind("TRAILER").unwrap()].to_owned()
    }
}

pub struct Uploaded {
    pub status: u16,
    pub replayed: bool,
    pub location: Option<String>,
    pub body: Value,
}

impl Uploaded {
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("{}", self.body)).to_owned()
    }
}

/// Uploads a file as an operator.
pub async fn upload(app: &TestApp, query: &str, body: impl Into<reqwest::Body>) -> Uploaded {
    upload_as(app, query, body, &[]).await
}

pub async fn upload_as(
    app: &TestApp,
    query: &str,
    body: impl Into<reqwest::Body>,
    headers: &[(&'static str, &str)],
) -> Uploaded {
    let url = format!("{}/v1/reports?{query}", app.internal);
    let mut request = app.client.post(url).bearer_auth(TOKEN).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
    let (replayed, location) = (header("idempotent-replayed").is_some(), header("location"));
    let status = response.status().as_u16();
    Uploaded { status, replayed, location, body: response.json().await.unwrap_or_default() }
}

pub const REGISTER: &str = "provider=nexusbank&kind=register";

/// Uploads a register and lets the workers finish it.
pub async fn reconcile(app: &TestApp, register: &Register) -> Value {
    let uploaded = upload(app, REGISTER, register.text()).await;
    assert_eq!(uploaded.status, 202, "{}", uploaded.body);
    app.settle().await;
    app.get(&format!("/v1/reports/{}", uploaded.id())).await
}

/// The mismatches as `CLASS state`, sorted.
pub async fn mismatches(app: &TestApp) -> Vec<String> {
    let word = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let items = app.items("/v1/mismatches").await;
    let mut all: Vec<String> = items.iter().map(|it| format!("{} {}", word(it, "class"), word(it, "state"))).collect();
    all.sort();
    all
}
