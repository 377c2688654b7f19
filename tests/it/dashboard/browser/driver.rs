//! Debian's Chromium, driven over `WebDriver` (W3C) by its chromedriver. A client library would pull a second set of features of
//! `serde_json` into every test, so the few commands that the tests need stand here.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::eventually;

/// The key under which `WebDriver` gives an element's reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window.
pub struct Browser {
    client: Client,
    /// `http://…/session/{id}`
    session: String,
    /// Ends with this.
    _driver: Child,
}

/// A browser, or none where the machine has no Chromium. With `CI` set its absence fails the test.
pub async fn browser() -> Option<Browser> {
    match driver().await {
        Some((driver, url)) => Some(Browser::start(driver, &url).await),
        None if std::env::var_os("CI").is_some() => {
            panic!("chromium and chromedriver are missing: .ci/run installs them")
        }
        None => {
            println!("left out: this machine has no chromedriver (apt-get install chromium chromium-driver)");
            None
        }
    }
}

/// A chromedriver on a free port, and its address.
async fn driver() -> Option<(Child, String)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            let port = port.trim_end_matches('.').to_owned();
            // What it says later is read, so that it is never held up.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some((driver, format!("http://127.0.0.1:{port}")));
        }
    }
    panic!("chromedriver ended before it listened");
}

impl Browser {
    async fn start(driver: Child, url: &str) -> Self {
        // A client without it panics, and no app may have been started yet.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
            "--window-size=1280,800",
        ];
        let chrome = json!({"args": arguments});
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}});
        let answer = client.post(format!("{url}/session")).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}"));
        Self { client, session: format!("{url}/session/{id}"), _driver: driver }
    }

    async fn command(&self, path: &str, body: &Value) -> Result<Value, String> {
        let answer = self.client.post(format!("{}{path}", self.session)).json(body).send().await.unwrap();
        let (status, mut answer): (_, Value) = (answer.status(), answer.json().await.unwrap());
        if status.is_success() { Ok(answer["value"].take()) } else { Err(answer["value"]["message"].to_string()) }
    }

    async fn done(&self, path: &str, body: &Value) -> Value {
        self.command(path, body).await.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    pub async fn open(&self, url: &str) {
        self.done("/url", &json!({"url": url})).await;
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.done("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// What a script hands to its last argument.
    pub async fn run_to_its_end(&self, script: &str) -> Value {
        self.done("/execute/async", &json!({"script": script, "args": []})).await
    }

    /// The address of the page.
    pub async fn url(&self) -> String {
        self.run("return location.href").await.as_str().unwrap().to_owned()
    }

    async fn find(&self, selector: &str) -> Option<String> {
        let found = self.command("/element", &json!({"using": "css selector", "value": selector})).await;
        found.ok().map(|it| it[ELEMENT].as_str().unwrap().to_owned())
    }

    /// Waits until there is such an element.
    pub async fn element(&self, selector: &str) -> String {
        eventually(&format!("{selector} is on the page"), async || self.find(selector).await).await
    }

    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        // The driver scrolls no further than to the edge, where half of an element may be covered.
        self.run(&format!("document.querySelector({}).scrollIntoView({{block: \"center\"}})", json!(selector))).await;
        self.done(&format!("/element/{element}/click"), &json!({})).await;
    }

    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.done(&format!("/element/{element}/value"), &json!({"text": text})).await;
    }

    /// The text that a person sees.
    pub async fn text(&self, selector: &str) -> String {
        self.element(selector).await;
        let script = format!("return document.querySelector({}).innerText", json!(selector));
        self.run(&script).await.as_str().unwrap().to_owned()
    }

    /// A command of the `DevTools` protocol.
    pub async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.done("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    /// Shows pages at this width, in this theme.
    pub async fn show_as(&self, width: u32, theme: &str) {
        let metrics = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await;
        // A click finds its element where it is, not on a smooth way there.
        let still = json!({"name": "prefers-reduced-motion", "value": "reduce"});
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}, still]});
        self.devtools("Emulation.setEmulatedMedia", &features).await;
    }

    /// The whole page as a PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.devtools("Page.captureScreenshot", &whole).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// What the browser complains about: violations of the page's policy, failed requests, errors of scripts.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.done("/se/log", &json!({"type": "browser"})).await;
        log.as_array().unwrap().iter().map(|it| it["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub async fn close(self) {
        self.client.delete(&self.session).send().await.unwrap();
    }
}
