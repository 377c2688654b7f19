//! Uploads registers, and waits until they are finished.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::time::sleep;

use crate::register::Register;
use crate::service::{Service, TOKEN};
use crate::usage;

const LOOK: Duration = Duration::from_millis(20);

pub struct Reports {
    client: Client,
    service: SocketAddr,
    pid: u32,
}

/// A report that has ended.
pub struct Read {
    /// From the 202.
    pub took: Duration,
    /// Megabytes beyond what the service held before the upload, at most.
    pub memory: f64,
    report: Value,
}

impl Read {
    /// Where it is not as its making implies.
    pub fn wrong(&self, register: &Register) -> Vec<String> {
        let count = |class: &str| self.report["counts"][class].as_u64().unwrap_or_default();
        let expected = [
            ("rows", self.report["rows"].as_u64().unwrap_or_default(), register.len()),
            ("missed answers", count("MISSED_ANSWER"), register.missed()),
            ("others", count("MATCHED") + count("REPEATED"), register.len() - register.missed()),
        ];
        let mut wrong: Vec<String> = expected
            .iter()
            .filter(|it| it.1 != it.2)
            .map(|it| format!("{}: {}, {} are right", it.0, it.1, it.2))
            .collect();
        if self.report["state"] != "finished" || self.report["complete"] != true {
            wrong.push(self.report.to_string());
        }
        wrong
    }
}

impl Reports {
    pub fn of(service: &Service) -> Self {
        let client = Client::builder().no_proxy().build().expect("an HTTP client");
        Self { client, service: service.internal, pid: service.pid() }
    }

    pub async fn read(&self, register: &Register) -> Read {
        let idle = usage::memory(self.pid, "VmRSS:").unwrap_or_default();
        usage::forget_peak(self.pid);
        let id = self.upload(register).await;
        let read = self.until_finished(&id).await;
        Read { memory: usage::memory(self.pid, "VmHWM:").unwrap_or_default() - idle, ..read }
    }

    pub async fn upload(&self, register: &Register) -> String {
        let url = format!("http://{}/v1/reports?provider=nexusbank&kind=register", self.service);
        let upload = self.client.post(url).bearer_auth(TOKEN).body(register.text());
        let answer = upload.send().await.expect("an answer");
        assert_eq!(answer.status(), 202, "the register is taken");
        let report: Value = answer.json().await.expect("a report");
        report["id"].as_str().expect("an id").to_owned()
    }

    pub async fn until_finished(&self, id: &str) -> Read {
        let began = Instant::now();
        loop {
            let report = self.get(id).await;
            if !matches!(report["state"].as_str(), Some("received" | "reading")) {
                return Read { took: began.elapsed(), memory: 0.0, report };
            }
            sleep(LOOK).await;
        }
    }

    pub async fn state(&self, id: &str) -> String {
        self.get(id).await["state"].as_str().unwrap_or_default().to_owned()
    }

    async fn get(&self, id: &str) -> Value {
        let url = format!("http://{}/v1/reports/{id}", self.service);
        let answer = self.client.get(url).bearer_auth(TOKEN).send().await.expect("an answer");
        answer.json().await.expect("a report")
    }
}
