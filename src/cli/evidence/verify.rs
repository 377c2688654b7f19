//! `evidence verify`: checks the evidence of a report, or of an opening, without the service and its database.
//!
//! The result goes to standard output, finding by finding as they are made.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::cli::Misconfigured;
use crate::config::given_history_key;
use crate::domain::chain::HistoryKey;
use crate::domain::signature::PublicKey;
use crate::reconciliation::evidence::Finding;
use crate::reconciliation::evidence::opening::verify::OpeningSummary;
use crate::reconciliation::evidence::verify::{Summary, verify, verify_opening};
use crate::settings::SettingError;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The bundle, as GET /v1/reports/{id}/evidence gave it, or an opening's evidence.json
    file: PathBuf,
    /// The public key (PEM) of the service, from its operator. Without it the enclosed key is used, which shows only that the bundle
    /// fits itself
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Key of the history's hash chain (base64 of 32 bytes): the hashes of an opening's history are computed again
    #[arg(long, env, hide_env_values = true)]
    history_key: Option<String>,
    /// Print one JSON object
    #[arg(long, env, value_parser = crate::cli::switch)]
    json: bool,
}

const AFTER_HELP: &str = "Checks every byte of the zip, each checksum, the signature and that no file is missing or was added. Then reads the \
provider's file again, classifies each row with the enclosed values by the service's own code, and adds up counts, sums and balances. Each \
thing that does not fit is one line that names file and line.\n\nThe evidence of an opening is checked byte by byte with its checksums, \
signature and steps; with HISTORY_KEY also the hashes of its history.\n\nExit codes: 0 everything fits, 1 something does not, or failure, 2 wrong \
usage or configuration.";

/// Findings that are listed; more are only counted.
const LISTED: u64 = 10_000;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let name = arguments.file.display().to_string();
    let key = arguments.public_key.as_deref().map(public_key).transpose()?;
    let chain = given_history_key(arguments.history_key.as_ref()).map_err(Misconfigured::from)?;
    let file = File::open(&arguments.file).with_context(|| format!("cannot read {name}"))?;
    let file = match opening(file).with_context(|| format!("cannot read {name}"))? {
        Evidence::OfReport(file) => file,
        Evidence::OfOpening(bytes) => return of_opening(arguments, &name, &bytes, key.as_ref(), chain.as_ref()),
    };
    let mut output = Output { json: arguments.json, out: BufWriter::new(io::stdout()), listed: 0, error: Ok(()) };
    output.begin()?;
    let summary = verify(file, key.as_ref(), &mut |finding| output.finding(finding));
    let summary = summary.with_context(|| format!("cannot read {name}"))?;
    output.end(&summary)?;
    fits(&name, summary.findings)
}

/// Evidence by its first byte: that of an opening is a JSON object.
enum Evidence {
    OfReport(File),
    OfOpening(Vec<u8>),
}

fn opening(mut file: File) -> io::Result<Evidence> {
    let mut first = [0];
    if file.read(&mut first)? == 1 && first == *b"{" {
        let mut bytes = first.to_vec();
        file.read_to_end(&mut bytes)?;
        return Ok(Evidence::OfOpening(bytes));
    }
    io::Seek::rewind(&mut file)?;
    Ok(Evidence::OfReport(file))
}

fn of_opening(
    arguments: &Arguments,
    name: &str,
    bytes: &[u8],
    key: Option<&PublicKey>,
    chain: Option<&HistoryKey>,
) -> anyhow::Result<()> {
    let mut output = Output { json: arguments.json, out: BufWriter::new(io::stdout()), listed: 0, error: Ok(()) };
    output.begin()?;
    let summary = verify_opening(bytes, key, chain, &mut |finding| output.finding(finding));
    output.end_opening(&summary)?;
    fits(name, summary.findings)
}

fn fits(name: &str, findings: u64) -> anyhow::Result<()> {
    let thing = if findings == 1 { "thing does" } else { "things do" };
    anyhow::ensure!(findings == 0, "{name}: {findings} {thing} not fit, listed on standard output");
    Ok(())
}

fn public_key(path: &Path) -> Result<PublicKey, Misconfigured> {
    let wrong = |problem: String| {
        let expected = "a file with an Ed25519 public key in PEM".to_owned();
        Misconfigured::from(vec![SettingError { name: "--public-key", problem, expected }])
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
    PublicKey::from_pem(&text).map_err(|error| wrong(format!("{} is {error}", path.display())))
}

/// Text or JSON on standard output.
struct Output {
    json: bool,
    out: BufWriter<io::Stdout>,
    listed: u64,
    /// The first error of the output.
    error: io::Result<()>,
}

impl Output {
    /// In JSON the findings come first: they are written as they are made.
    fn begin(&mut self) -> io::Result<()> {
        if self.json { write!(self.out, "{{\"findings\":[") } else { Ok(()) }
    }

    fn finding(&mut self, finding: &Finding) {
        self.listed += 1;
        if self.listed > LISTED || self.error.is_err() {
            return;
        }
        let comma = if self.listed > 1 { "," } else { "" };
        self.error =
            if self.json { write!(self.out, "{comma}{}", json!(finding)) } else { writeln!(self.out, "{finding}") };
    }

    fn end(&mut self, summary: &Summary) -> io::Result<()> {
        std::mem::replace(&mut self.error, Ok(()))?;
        if self.json {
            let Summary { report_id, provider, kind, files, rows, redacted, findings, .. } = summary;
            let rest = json!({
                "ok": *findings == 0, "report_id": report_id, "provider": provider, "kind": kind, "files": files, "rows": rows,
                "redacted": redacted, "finding_count": findings, "public_key_sha256": summary.public_key_sha256,
                "public_key": if summary.key_is_enclosed { "enclosed" } else { "given" },
            });
            // The object was opened before the findings.
            writeln!(self.out, "],{}", rest.to_string().trim_start_matches('{'))?;
        } else {
            self.told(summary)?;
        }
        self.out.flush()
    }

    fn end_opening(&mut self, summary: &OpeningSummary) -> io::Result<()> {
        std::mem::replace(&mut self.error, Ok(()))?;
        if self.json {
            let OpeningSummary { opening_id, masked, parts, chained, findings, .. } = summary;
            let rest = json!({
                "ok": *findings == 0, "opening_id": opening_id, "masked": masked, "parts": parts, "chained": chained,
                "finding_count": findings, "public_key_sha256": summary.public_key_sha256,
                "public_key": if summary.key_is_enclosed { "enclosed" } else { "given" },
            });
            // The object was opened before the findings.
            writeln!(self.out, "],{}", rest.to_string().trim_start_matches('{'))?;
        } else {
            self.told_of_opening(summary)?;
        }
        self.out.flush()
    }

    fn told_of_opening(&mut self, summary: &OpeningSummary) -> io::Result<()> {
        let OpeningSummary { parts, findings, .. } = summary;
        self.told_rest()?;
        if let Some(id) = summary.opening_id {
            writeln!(self.out, "opening {id}: {parts} parts checked")?;
        }
        if summary.masked {
            writeln!(self.out, "masked for a reader: the bank's signatures cover none of these bytes")?;
        }
        match summary.chained {
            Some(steps) => writeln!(self.out, "the hashes of {steps} steps were computed again with HISTORY_KEY")?,
            None => writeln!(self.out, "the history's hashes were not computed again: that takes HISTORY_KEY")?,
        }
        self.told_key(summary.public_key_sha256.as_ref(), summary.key_is_enclosed)?;
        self.told_result(*findings)
    }

    fn told(&mut self, summary: &Summary) -> io::Result<()> {
        let Summary { files, rows, redacted, findings, .. } = summary;
        self.told_rest()?;
        if let (Some(id), Some(kind), Some(provider)) = (&summary.report_id, &summary.kind, &summary.provider) {
            writeln!(self.out, "report {id}: {kind} of {provider}")?;
        }
        let erased = if *redacted > 0 {
            format!("; {redacted} rows were erased (redacted) and not read")
        } else {
            String::new()
        };
        writeln!(self.out, "{files} files checked, {rows} rows read and classified again{erased}")?;
        self.told_key(summary.public_key_sha256.as_ref(), summary.key_is_enclosed)?;
        self.told_result(*findings)
    }

    /// Findings that were only counted.
    fn told_rest(&mut self) -> io::Result<()> {
        if self.listed > LISTED {
            writeln!(self.out, "and {} more", self.listed - LISTED)?;
        }
        Ok(())
    }

    fn told_key(&mut self, key: Option<&String>, is_enclosed: bool) -> io::Result<()> {
        match (key, is_enclosed) {
            (Some(key), true) => writeln!(
                self.out,
                "signature checked with the enclosed key (SHA-256 {key}): compare it with the operator's, or give that one with --public-key"
            )?,
            (Some(key), false) => writeln!(self.out, "signature checked with the given key (SHA-256 {key})")?,
            (None, _) => writeln!(self.out, "signature not checked: there is no key")?,
        }
        Ok(())
    }

    fn told_result(&mut self, findings: u64) -> io::Result<()> {
        writeln!(
            self.out,
            "{}",
            if findings == 0 { "everything fits".to_owned() } else { format!("{findings} findings") }
        )
    }
}
