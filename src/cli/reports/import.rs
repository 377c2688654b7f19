//! `reports import`: sends a report file to a running service; with `--wait`, until the service has finished it.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::body::Bytes;
use clap::Args;
use futures::stream::poll_fn;
use http_body_util::StreamBody;
use hyper::body::Frame;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Client, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cli::{Misconfigured, asked_to_stop};
use crate::report_files::row::Kind;
use crate::settings::invalid;

/// Bytes that are sent at once.
const PART: usize = 64 * 1024;
/// Parts that wait to be sent.
const WAITING: usize = 8;
/// How often the command asks for the report's state.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The report file; a gzip file is sent as it is
    file: PathBuf,
    /// The provider that made the report
    #[arg(long)]
    provider: String,
    /// The kind: register, charges or bank
    #[arg(long)]
    kind: Kind,
    /// The format, where the file does not show it: a bank's own (its name), camt or a profile
    #[arg(long)]
    format: Option<String>,
    /// Have it read and listed, without any effect
    #[arg(long)]
    dry_run: bool,
    /// Wait until the service has finished it
    #[arg(long)]
    wait: bool,
    /// Base URL of the service's internal listener [default: that of `INTERNAL_ADDR`]
    #[arg(long, env)]
    api_url: Option<String>,
    /// Address of the internal listener, as the service has it
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    internal_addr: SocketAddr,
    /// Token of an operator
    #[arg(long, env, default_value = "development-token", hide_env_values = true)]
    api_token: SecretString,
    /// Print the report as JSON
    #[arg(long, env, value_parser = crate::cli::switch)]
    json: bool,
}

const AFTER_HELP: &str = "The same bytes again are the same report: nothing is read twice.\n\nExit codes: 0 accepted (with --wait: \
finished), 1 refused, held, failed, interrupted or not reachable, 2 wrong usage.";

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let name = arguments.file.display().to_string();
    let service = Service::new(arguments)?;
    let (stop, sent) = (asked_to_stop()?, Sent::default());
    let report = tokio::select! {
        report = send(&service, arguments, &sent) => report.with_context(|| format!("sending {name}"))?,
        () = stop => bail!("{name}: interrupted {}", sent.told()),
    };
    if arguments.json {
        println!("{report}");
    } else {
        print(&report);
    }
    match word(&report, "state") {
        "failed" => bail!("{name}: the report failed: {}", word(&report, "error")),
        "held" => bail!("{name}: the report is held: an operator must release or discard it"),
        "discarded" => bail!("{name}: the report was discarded"),
        _ => Ok(()),
    }
}

async fn send(service: &Service<'_>, arguments: &Arguments, sent: &Sent) -> anyhow::Result<Value> {
    let report = service.upload(arguments, sent).await?;
    let _ = sent.report.set(word(&report, "id").to_owned());
    if arguments.wait { service.wait(report).await } else { Ok(report) }
}

/// How much of the file the service has: an interrupted command tells its user.
#[derive(Default)]
struct Sent {
    is_whole: Arc<AtomicBool>,
    /// The service's id of it.
    report: OnceLock<String>,
}

impl Sent {
    fn told(&self) -> String {
        match self.report.get() {
            Some(id) => format!("while the service reads it as report {id}; the service goes on"),
            None if self.is_whole.load(Ordering::Acquire) => {
                "before the service answered: it has kept the whole file or nothing, and sending it again is safe"
                    .to_owned()
            }
            None => "before the file was sent to its end; the service keeps nothing of it".to_owned(),
        }
    }
}

fn word<'a>(report: &'a Value, name: &str) -> &'a str {
    report[name].as_str().unwrap_or("unknown")
}

fn print(report: &Value) {
    println!("report {}: {}", word(report, "id"), word(report, "state"));
    println!("rows {}, bad rows {}", report["rows"], report["bad_rows"]);
    for (class, rows) in report["counts"].as_object().into_iter().flatten() {
        println!("{class:24} {rows}");
    }
}

/// The service to send to.
struct Service<'a> {
    client: Client,
    reports: Url,
    token: &'a SecretString,
}

impl<'a> Service<'a> {
    fn new(arguments: &'a Arguments) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().build().context("setting up the HTTP client")?;
        let mut reports = base(arguments)?;
        if let Ok(mut path) = reports.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "reports"]);
        }
        Ok(Self { client, reports, token: &arguments.api_token })
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let request = request.bearer_auth(self.token.expose_secret());
        let response = request.send().await.with_context(|| format!("the service at {}", self.reports))?;
        read(response).await
    }

    async fn upload(&self, arguments: &Arguments, sent: &Sent) -> anyhow::Result<Value> {
        let (body, is_gzip) = body(&arguments.file, Arc::clone(&sent.is_whole))?;
        let mut url = self.reports.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("provider", &arguments.provider).append_pair("kind", arguments.kind.as_str());
            if let Some(format) = &arguments.format {
                query.append_pair("format", format);
            }
            if let Some(name) = arguments.file.file_name().and_then(|it| it.to_str()) {
                query.append_pair("file_name", name);
            }
            if arguments.dry_run {
                query.append_pair("dry_run", "true");
            }
        }
        let request = self.client.post(url).body(body);
        self.answer(if is_gzip { request.header("content-encoding", "gzip") } else { request }).await
    }

    async fn wait(&self, mut report: Value) -> anyhow::Result<Value> {
        let bar = ProgressBar::new_spinner();
        while matches!(word(&report, "state"), "received" | "reading") {
            bar.set_message(format!("{}, {} rows so far", word(&report, "state"), report["rows"]));
            bar.tick();
            tokio::time::sleep(LOOK).await;
            let url = format!("{}/{}", self.reports, word(&report, "id"));
            report = self.answer(self.client.get(url)).await?;
        }
        bar.finish_and_clear();
        Ok(report)
    }
}

/// The service's own listener, as it is reached from this machine.
fn base(arguments: &Arguments) -> anyhow::Result<Url> {
    if let Some(url) = arguments.api_url.as_deref().filter(|it| !it.is_empty()) {
        let wrong =
            || Misconfigured(vec![format!("API_URL: {}; expected a URL such as http://127.0.0.1:8081", invalid(url))]);
        return Ok(Url::parse(url).ok().filter(|it| !it.cannot_be_a_base()).ok_or_else(wrong)?);
    }
    let address = arguments.internal_addr;
    if address.port() == 0 {
        let expected = "a port, or --api-url with the port that the service logged";
        return Err(Misconfigured(vec![format!(
            "INTERNAL_ADDR: {}; expected {expected}",
            invalid(&address.to_string())
        )])
        .into());
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, address.port())).parse()?)
}

/// The answer's JSON; a refusal becomes an error with its title, detail and fields.
async fn read(response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let title = body["title"].as_str().unwrap_or("no explanation");
    let detail = body["detail"].as_str().map(|it| format!(": {it}")).unwrap_or_default();
    let errors: Vec<String> = body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| format!("\n  {} {}", it["pointer"].as_str().unwrap_or_default(), word(it, "detail")))
        .collect();
    bail!("answered {status}: {title}{detail}{}", errors.concat())
}

/// The file as a stream, read on a thread of its own, and whether it is gzip. `is_whole` becomes true with the stream's end.
fn body(path: &Path, is_whole: Arc<AtomicBool>) -> anyhow::Result<(Body, bool)> {
    let mut file = File::open(path).context("the file cannot be opened")?;
    let len = file.metadata().context("the file cannot be opened")?.len();
    let mut head = [0; 2];
    let read = file.read(&mut head).context("the file cannot be read")?;
    let bar = ProgressBar::new(len).with_style(
        ProgressStyle::with_template("sending {bar:30} {bytes} of {total_bytes}")
            .unwrap_or(ProgressStyle::default_bar()),
    );
    let (parts, mut waiting) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut file = head[..read].chain(file);
        loop {
            let mut part = Vec::with_capacity(PART);
            let read = file.by_ref().take(PART as u64).read_to_end(&mut part);
            bar.inc(part.len() as u64);
            let is_last = !matches!(read, Ok(1..));
            let sent = match read {
                Ok(0) => break,
                Ok(_) => parts.blocking_send(Ok(Frame::data(part.into()))),
                Err(error) => parts.blocking_send(Err(error)),
            };
            if sent.is_err() || is_last {
                break;
            }
        }
        bar.finish_and_clear();
    });
    let stream = StreamBody::new(poll_fn(move |context| {
        let next = waiting.poll_recv(context);
        if matches!(next, Poll::Ready(None)) {
            is_whole.store(true, Ordering::Release);
        }
        next
    }));
    Ok((Body::wrap(stream), head[..read] == [0x1f, 0x8b]))
}
