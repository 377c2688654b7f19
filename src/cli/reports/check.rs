//! `reports check`: reads a report file by the code that the service uses, and lists every error.
//!
//! Each error goes to standard output as it is read, so that the memory for a file of any size is constant.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::SecondsFormat;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::{Misconfigured, refused_profiles};
use crate::clock::Time;
use crate::config::{REPORT_FORMATS, profile_files};
use crate::reconciliation::ingest::{Bounded, Bounds};
use crate::report_files::profile::Profiles;
use crate::report_files::row::{Header, Kind, Statement};
use crate::report_files::{Code, Ending, Expected, HeaderError, Item, OpenError, ReportError, open};
use crate::settings::{SettingError, invalid};

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The report file; gzip is decompressed
    file: PathBuf,
    /// The format, where the file does not show it: a bank's own (its name), camt or a profile
    #[arg(long)]
    format: Option<String>,
    /// The kind: register, charges or bank. A file that says another kind is refused
    #[arg(long)]
    kind: Option<Kind>,
    /// A folder of profiles (*.toml) for other providers' CSV files
    #[arg(long, env, value_name = "FOLDER")]
    report_profiles: Option<PathBuf>,
    /// The provider. A file that names another one is refused
    #[arg(long)]
    provider: Option<String>,
    /// Maximum size of the file, decompressed, in bytes, as the service has it
    #[arg(long, env, default_value_t = 1 << 30)]
    report_max_bytes: u64,
    /// Print one JSON object
    #[arg(long, env, value_parser = crate::cli::switch)]
    json: bool,
}

const AFTER_HELP: &str = "Each error is one line: line and byte in the (decompressed) file, field, code, what was found and what is \
expected.\n\nExit codes: 0 no errors, 1 errors or failure, 2 wrong usage or configuration.";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let name = arguments.file.display().to_string();
    let profiles = profiles(arguments.report_profiles.as_deref())?;
    let (provider, format) = (arguments.provider.as_deref(), arguments.format.as_deref());
    let expected = Expected { kind: arguments.kind, provider, format, own: REPORT_FORMATS, profiles: Some(&profiles) };
    must_know_the_format(&expected)?;
    let bar = ProgressBar::new(0);
    let read = contents(arguments, &bar).with_context(|| format!("cannot read {name}"))?;
    let mut output = Output::new(arguments.json, bar);
    let errors = check(read, &expected, &mut output).with_context(|| name.clone())?;
    anyhow::ensure!(
        errors == 0,
        "{name}: {errors} error{}, listed on standard output",
        if errors == 1 { "" } else { "s" }
    );
    Ok(())
}

fn profiles(folder: Option<&Path>) -> Result<Profiles, Misconfigured> {
    let files = folder.filter(|it| !it.as_os_str().is_empty()).map(profile_files).transpose();
    let files = files.map_err(|error| Misconfigured(vec![format!("REPORT_PROFILES: cannot be read: {error}")]))?;
    Profiles::of(&files.unwrap_or_default()).map_err(|errors| refused_profiles(&errors))
}

fn must_know_the_format(expected: &Expected<'_>) -> Result<(), Misconfigured> {
    let formats = expected.formats();
    match expected.format.filter(|it| !formats.contains(it)) {
        None => Ok(()),
        Some(format) => {
            let (problem, expected) = (invalid(format), format!("one of {}", formats.join(", ")));
            Err(vec![SettingError { name: "--format", problem, expected }].into())
        }
    }
}

/// The number of errors.
fn check(read: impl Read + Send, expected: &Expected<'_>, output: &mut Output) -> anyhow::Result<u64> {
    output.begin()?;
    let mut reading = match open(read, expected) {
        Ok(reading) => reading,
        Err(OpenError::Header(error)) => {
            output.refused(&error, expected)?;
            return Ok(1);
        }
        Err(OpenError::Io(error)) => {
            output.refused(&unreadable(&error), expected)?;
            return Ok(1);
        }
    };
    let header = reading.header().clone();
    while let Some(item) = reading.next() {
        match item {
            Ok(Item::Row(_)) => {}
            Ok(Item::Error(error)) => output.error(&error)?,
            Ok(Item::Statement(statement)) => output.flaws(&statement)?,
            Ok(Item::End(ending)) => output.end(&header, &ending)?,
            Err(error) => {
                let failed = Some(unreadable(&error));
                output.end(&header, &Ending { failed, ..reading.so_far() })?;
                break;
            }
        }
    }
    Ok(output.errors)
}

/// An error of the file's bytes, such as a gzip file that was cut off.
fn unreadable(error: &io::Error) -> HeaderError {
    HeaderError::new(1, Code::Unreadable, format!("the file cannot be read to its end: {error}"))
}

/// The bytes of the file, decompressed within the bounds of an upload, with progress on a terminal.
fn contents(arguments: &Arguments, bar: &ProgressBar) -> io::Result<impl Read + Send + use<>> {
    let file = File::open(&arguments.file)?;
    let length = file.metadata()?.len();
    let style = ProgressStyle::with_template("{bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left");
    bar.set_length(length);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut file = BufReader::new(bar.wrap_read(file));
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic)?;
    let is_gzip = magic == [0x1f, 0x8b];
    let bounds = Bounds { is_gzip, max_bytes: arguments.report_max_bytes };
    Ok(Bounded::new(Cursor::new(magic).chain(file), bounds))
}

/// Text or JSON on standard output.
struct Output {
    json: bool,
    bar: ProgressBar,
    out: BufWriter<io::Stdout>,
    errors: u64,
}

impl Output {
    fn new(json: bool, bar: ProgressBar) -> Self {
        Self { json, bar, out: BufWriter::new(io::stdout()), errors: 0 }
    }

    /// JSON begins with the errors, since each is written as it is found.
    fn begin(&mut self) -> io::Result<()> {
        if self.json { write!(self.out, "{{\"errors\":[") } else { Ok(()) }
    }

    fn error(&mut self, error: &ReportError) -> io::Result<()> {
        let problem = &error.problem;
        self.found(error.line, Some(error.byte), problem.field.as_deref(), problem.code, &problem.detail)
    }

    /// Counts a bank statement that does not add up as an error, although every row of it can be read.
    fn flaws(&mut self, statement: &Statement) -> io::Result<()> {
        for flaw in &statement.flaws {
            let detail = format!("statement {}: {}", statement.id, flaw.detail());
            self.found(flaw.line, Some(flaw.byte), None, flaw.code(), &detail)?;
        }
        Ok(())
    }

    fn found(&mut self, line: u64, byte: Option<u64>, field: Option<&str>, code: Code, detail: &str) -> io::Result<()> {
        let comma = if self.errors > 0 { "," } else { "" };
        self.errors += 1;
        let text = if self.json {
            format!("{comma}{}", json!({"line": line, "byte": byte, "field": field, "code": code, "detail": detail}))
        } else {
            let byte = byte.map(|it| format!(", byte {it}")).unwrap_or_default();
            let field = field.map(|it| format!("{it}: ")).unwrap_or_default();
            format!("line {line}{byte}: {field}{code}: {detail}\n")
        };
        // A progress bar is on the same terminal.
        self.bar.suspend(|| self.out.write_all(text.as_bytes()))
    }

    /// Without a header that is understood a file has no rows.
    fn refused(&mut self, error: &HeaderError, expected: &Expected<'_>) -> io::Result<()> {
        self.found(error.line, None, None, error.code, &error.told())?;
        self.bar.finish_and_clear();
        if self.json {
            let failed = Some(error.clone());
            self.summary(expected.kind, expected.provider, &Ending { failed, ..Ending::default() })?;
        }
        self.out.flush()
    }

    fn end(&mut self, header: &Header, ending: &Ending) -> io::Result<()> {
        if let Some(error) = &ending.failed {
            self.found(error.line, None, None, error.code, &error.detail)?;
        }
        self.bar.finish_and_clear();
        if self.json {
            let provider = Some(header.provider.as_str()).filter(|it| !it.is_empty());
            self.summary(Some(header.kind), provider, ending)?;
        } else {
            self.told(header, ending)?;
        }
        self.out.flush()
    }

    fn summary(&mut self, kind: Option<Kind>, provider: Option<&str>, ending: &Ending) -> io::Result<()> {
        let (complete, rows, bad_rows) = (ending.is_complete(), ending.rows, ending.bad_rows);
        let rest = json!({
            "kind": kind, "provider": provider, "complete": complete, "rows": rows, "bad_rows": bad_rows, "sums": ending.sums,
        });
        // The object was opened before the errors.
        writeln!(self.out, "],{}", rest.to_string().trim_start_matches('{'))
    }

    fn told(&mut self, header: &Header, ending: &Ending) -> io::Result<()> {
        let time = |it: &Option<Time>| it.map(|it| it.to_rfc3339_opts(SecondsFormat::Secs, true));
        let (kind, provider) = (header.kind, &header.provider);
        let of = if provider.is_empty() { String::new() } else { format!(" of {provider}") };
        writeln!(self.out, "{kind}{of}: {} rows, {} of them bad", ending.rows, ending.bad_rows)?;
        if let (Some(from), Some(until)) = (time(&header.from), time(&header.until)) {
            writeln!(self.out, "period from {from} until {until}")?;
        }
        if let Some(as_of) = time(&header.as_of) {
            writeln!(self.out, "as of {as_of}")?;
        }
        for sum in &ending.sums {
            writeln!(self.out, "sum {} {}", sum.currency, sum.amount)?;
        }
        match (&ending.failed, &ending.incomplete) {
            (None, None) => writeln!(self.out, "complete"),
            (Some(failed), _) => writeln!(self.out, "not usable: {}", failed.detail),
            (None, Some(why)) => writeln!(self.out, "not complete: {why}"),
        }
    }
}
