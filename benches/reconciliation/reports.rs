//! Uploads reports, and waits for their ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::time::sleep;

use crate::file::File;
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
    pub report: Value,
}

impl Reports {
    pub fn of(service: &Service) -> Self {
        let client = Client::builder().no_proxy().build().expect("an HTTP client");
        Self { client, service: service.internal, pid: service.pid() }
    }

    pub async fn read(&self, file: File) -> Read {
        let idle = self.idle();
        let id = self.upload(file).await;
        let read = self.until_finished(&id).await;
        Read { memory: self.beyond(idle), ..read }
    }

    /// Megabytes that the service holds; its peak is counted from now on.
    pub fn idle(&self) -> f64 {
        usage::forget_peak(self.pid);
        usage::memory(self.pid, "VmRSS:").unwrap_or_default()
    }

    pub fn beyond(&self, idle: f64) -> f64 {
        usage::memory(self.pid, "VmHWM:").unwrap_or_default() - idle
    }

    pub async fn upload(&self, file: File) -> String {
        let (status, report) = self.send(file.kind, file.text.into_bytes(), None).await;
        assert_eq!(status, 202, "the file is taken: {report}");
        report["id"].as_str().expect("an id").to_owned()
    }

    /// The status of the answer, and its body.
    pub async fn send(&self, kind: &str, body: Vec<u8>, encoding: Option<&'static str>) -> (u16, Value) {
        let url = format!("http://{}/v1/reports?provider=nexusbank&kind={kind}", self.service);
        let mut upload = self.client.post(url).bearer_auth(TOKEN).body(body);
        if let Some(encoding) = encoding {
            upload = upload.header("content-encoding", encoding);
        }
        let answer = upload.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
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
