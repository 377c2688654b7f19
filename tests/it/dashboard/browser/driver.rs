//! Debian's Chromium, driven over `WebDriver` (W3C) by its chromedriver. A client library would pull a second set of features of
//! `serde_json` into every test, so the few commands that the tests need stand here.
//!
//! The tests of a run share one browser, in turn: a start costs seconds of all cores, and several at once slow each other down.
//! A test gets it without cookies, overrides and messages of the test before. Each test's service has an origin of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::eventually;

/// The key under which `WebDriver` gives an element's reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The driver and its browsers end with this process, however it ends: the kernel then closes the shell's input.
const LEASH: &str = "chromedriver --port=0 & cat >/dev/null; kill 0";

/// The browser of this run.
static SHARED: Mutex<Option<Running>> = Mutex::const_new(None);

struct Running {
    /// `http://…/session/{id}`
    session: String,
    /// The shell's input.
    _hold: ChildStdin,
}

/// A browser with one window, for one test at a time.
pub struct Browser {
    client: Client,
    session: String,
    _turn: MutexGuard<'static, Option<Running>>,
}

/// A browser, or none where the machine has no Chromium. With `CI` set its absence fails the test.
pub async fn browser() -> Option<Browser> {
    let version = Command::new("chromedriver").arg("--version").stdout(Stdio::null()).status();
    if version.is_ok() {
        return Some(Browser::in_turn().await);
    }
    assert!(std::env::var_os("CI").is_none(), "chromium and chromedriver are missing: .ci/run installs them");
    println!("left out: this machine has no chromedriver (apt-get install chromium chromium-driver)");
    None
}

/// A chromedriver on a free port: its address, and what holds it.
#[expect(clippy::zombie_processes, reason = "the shell ends with this process, whose end closes its input")]
fn driver() -> (String, ChildStdin) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", LEASH])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|it| it.split_once("started successfully on port ").map(|it| it.1.to_owned()));
    let port = port.expect("chromedriver listens").trim_end_matches('.').to_owned();
    // The later output of chromedriver is read, so that it is never held up.
    std::thread::spawn(move || lines.for_each(drop));
    (format!("http://127.0.0.1:{port}"), shell.stdin.take().unwrap())
}

/// A click finds its element where it is, not on a smooth way there.
fn still() -> Value {
    json!({"name": "prefers-reduced-motion", "value": "reduce"})
}

impl Running {
    async fn start(client: &Client) -> Self {
        let (url, hold) = driver();
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
        Self { session: format!("{url}/session/{id}"), _hold: hold }
    }
}

impl Browser {
    async fn in_turn() -> Self {
        // A client without it panics, and no app may have been started yet.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        let mut turn = SHARED.lock().await;
        if turn.is_none() {
            *turn = Some(Running::start(&client).await);
        }
        let session = turn.as_ref().map(|it| it.session.clone()).unwrap_or_default();
        let browser = Self { client, session, _turn: turn };
        browser.forget().await;
        browser
    }

    /// Forgets what the test before left.
    async fn forget(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": false})).await;
        self.open("about:blank").await;
        self.devtools("Network.clearBrowserCookies", &json!({})).await;
        self.devtools("Emulation.clearDeviceMetricsOverride", &json!({})).await;
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": [still()]})).await;
        self.devtools("Emulation.setTimezoneOverride", &json!({"timezoneId": ""})).await;
        self.complaints().await;
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

    /// The value that a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.done("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// The value that a script hands to its last argument.
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

    /// Presses a key, by its sign or by its code in the driver's protocol, wherever the focus is.
    pub async fn press(&self, key: &str) {
        let steps = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.done("/actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": steps}]})).await;
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

    /// Runs a script at the beginning of every page from now on; its id. A long one is handed over once.
    pub async fn add_script(&self, source: &str) -> Value {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": source})).await
    }

    /// Runs it no more.
    pub async fn remove_script(&self, script: &Value) {
        self.devtools("Page.removeScriptToEvaluateOnNewDocument", script).await;
    }

    /// Shows pages at this width, in this theme.
    pub async fn show_as(&self, width: u32, theme: &str) {
        let metrics = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}, still()]});
        self.devtools("Emulation.setEmulatedMedia", &features).await;
    }

    /// The whole page as a PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.devtools("Page.captureScreenshot", &whole).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// The browser's complaints: violations of the page's policy, failed requests, errors of scripts.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.done("/se/log", &json!({"type": "browser"})).await;
        log.as_array().unwrap().iter().map(|it| it["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Leaves the page, so that it asks its service nothing more.
    pub async fn close(self) {
        self.open("about:blank").await;
    }
}
