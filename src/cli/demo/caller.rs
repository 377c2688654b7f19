//! The demo's caller: a minimal back end that knows only the REST API.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, TryStreamExt};
use reqwest::Client;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};

use super::TOKEN;
use world::Bank;

pub(super) struct Caller {
    client: Client,
    pub base_url: String,
    /// The bank that opens the accounts.
    pub bank: Bank,
}

impl Caller {
    pub fn new(addr: SocketAddr, bank: Bank) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { client, base_url: format!("http://{addr}"), bank })
    }

    /// Starts openings, at most `at_once` concurrently.
    pub async fn start_all(&self, openings: usize, at_once: usize) -> anyhow::Result<()> {
        futures::stream::iter(0..openings)
            .map(|number| self.start(number))
            .buffer_unordered(at_once)
            .try_collect::<Vec<()>>()
            .await
            .map(|_| ())
    }

    async fn start(&self, number: usize) -> anyhow::Result<()> {
        let markets = self.bank.markets();
        let (market, currency) = markets[number % markets.len()];
        let types = ["company", "freelancer", "individual"];
        let body = json!({
            "market": market,
            "customer_type": types[number / markets.len() % types.len()],
            "currency": currency,
            "customer": {
                "reference": format!("cus_{number}"),
                "name": format!("Example {number} {}", suffix(market)),
                "email": format!("ops{number}@customer.example"),
                "country": market,
            },
        });
        let response = self
            .client
            .post(format!("{}/v1/account-openings", self.base_url))
            .bearer_auth(TOKEN)
            .header("Idempotency-Key", format!("demo-{number}"))
            .json(&body)
            .send()
            .await?;
        let status = response.status();
        anyhow::ensure!(status.is_success(), "starting an opening failed: HTTP {status}: {}", response.text().await?);
        Ok(())
    }

    /// Uploads a report of the bank; returns it as the service received it.
    pub async fn upload(&self, kind: &str, name: &str, file: Vec<u8>, gzip: bool) -> anyhow::Result<Value> {
        let (base, bank) = (&self.base_url, self.bank.name());
        let url = format!("{base}/v1/reports?provider={bank}&kind={kind}&file_name={name}");
        let request = self.client.post(url).bearer_auth(TOKEN).header(CONTENT_TYPE, "application/octet-stream");
        let request = if gzip {
            let mut writer = GzEncoder::new(Vec::new(), Compression::default());
            writer.write_all(&file)?;
            request.header(CONTENT_ENCODING, "gzip").body(writer.finish()?)
        } else {
            request.body(file)
        };
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        anyhow::ensure!(status.is_success(), "uploading the {kind} failed: HTTP {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Fetches a file from another server, without the service's token.
    pub async fn fetch(&self, url: &str) -> anyhow::Result<Vec<u8>> {
        Ok(self.client.get(url).send().await?.error_for_status()?.bytes().await?.to_vec())
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base_url);
        let response = self.client.get(&url).bearer_auth(TOKEN).send().await?.error_for_status()?;
        Ok(response.json().await?)
    }

    /// Does an act.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.base_url);
        self.client.post(&url).bearer_auth(TOKEN).json(body).send().await?.error_for_status()?;
        Ok(())
    }

    /// All items of a list, page by page.
    pub async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&format!("{path}{separator}limit=200{cursor}")).await?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Fetches the service's metrics.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        let url = format!("{}/metrics", self.base_url);
        Ok(Metrics(self.client.get(url).send().await?.error_for_status()?.text().await?))
    }

    /// The number of openings per state.
    pub async fn states(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let metrics = self.metrics().await?;
        let mut states = BTreeMap::new();
        for line in metrics.0.lines().filter(|line| line.starts_with("account_opening_openings{")) {
            let state = line.split("state=\"").nth(1).and_then(|rest| rest.split('"').next());
            let count = line.rsplit(' ').next().and_then(|it| it.parse::<f64>().ok());
            let (state, count) = state.zip(count).context("reading a line of the metrics")?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let count = count as u64;
            *states.entry(state.to_owned()).or_default() += count;
        }
        Ok(states)
    }
}

/// The legal form at the end of a company's name.
fn suffix(market: &str) -> &'static str {
    match market {
        "BE" => "BV",
        "DE" => "GmbH",
        "EE" => "OÜ",
        "ES" => "SL",
        "FR" => "SARL",
        "IT" => "S.r.l.",
        "NL" => "B.V.",
        "SE" => "AB",
        _ => "Ltd",
    }
}

/// Metrics in Prometheus' text format.
pub(super) struct Metrics(String);

impl Metrics {
    /// The sum of a counter over all label sets that contain `label` (as in `source="poll"`).
    pub fn sum(&self, name: &str, label: &str) -> u64 {
        let wanted = |line: &&str| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && rest.contains(label)
        };
        let values = self.0.lines().filter(wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }
}
