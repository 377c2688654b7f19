//! Settings of reconciliation.

use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use clap::Args;
use rust_decimal::Decimal;

use super::parse::percent;
use crate::provider::Adapter;
use crate::report_files::profile::ProfileFile;
use crate::settings::{Checker, duration, list_of, to_delta};

#[derive(Args, Clone)]
pub struct RawReconciliation {
    /// How far apart our answer and a provider's register may be in time before it is a difference
    #[arg(long, env, default_value = "24h")]
    pub recon_window: String,
    /// How long a charge waits for the step that owes it, and an expected fee for its charge
    #[arg(long, env, default_value = "45d")]
    pub charge_window: String,
    /// How long a settlement waits for its lines and its payment, and a payment for its settlement
    #[arg(long, env, default_value = "5d")]
    pub settlement_window: String,
    /// How much a charge may differ from the expected fee, in its currency
    #[arg(long, env, default_value = "0")]
    pub amount_tolerance: String,
    /// Share of a report's rows that may differ before the report is held for an operator, 0% to 100%; 100%: none is held
    #[arg(long, env, default_value = "5%")]
    pub recon_hold: String,
    /// Maximum size of a report, decompressed, in bytes
    #[arg(long, env, default_value = "1073741824")]
    pub report_max_bytes: String,
    /// Folder of profiles (*.toml) by which other providers' report files are read [default: only the built-in ones]
    #[arg(long, env, value_name = "FOLDER")]
    pub report_profiles: Option<String>,
    /// How often the service reads a provider's list as a register: nexusbank=24h, comma-separated, of configured providers with a
    /// list; empty: never
    #[arg(long, env, default_value = "", hide_default_value = true)]
    pub report_schedule: String,
}

#[derive(Clone, Debug)]
pub struct ReconciliationSettings {
    pub window: TimeDelta,
    pub charge_window: TimeDelta,
    pub settlement_window: TimeDelta,
    pub amount_tolerance: Decimal,
    /// In percent, 0 to 100.
    pub hold: Decimal,
    pub report_max_bytes: u64,
    /// Of `REPORT_PROFILES`; reconciliation checks them.
    pub report_profiles: Arc<[ProfileFile]>,
    /// How often the service reads a provider's list as a register, by provider.
    pub report_schedule: Arc<[(String, TimeDelta)]>,
}

impl RawReconciliation {
    pub(super) fn check(&self, check: &mut Checker, adapters: &[Arc<dyn Adapter>]) -> ReconciliationSettings {
        let hold = check.with("RECON_HOLD", &self.recon_hold, "a percentage from 0% to 100%", |text| {
            percent(text, Decimal::ONE_HUNDRED)
        });
        let expected = "a decimal number without sign, such as 0.01";
        let tolerance = check.with("AMOUNT_TOLERANCE", &self.amount_tolerance, expected, tolerance);
        let lists: Vec<&str> = adapters.iter().filter(|it| it.lists()).map(|it| it.name()).collect();
        let expected = format!("{SCHEDULE}; configured providers with a list: {}", lists.join(", "));
        let schedule = check.with("REPORT_SCHEDULE", &self.report_schedule, &expected, |text| schedule(text, &lists));
        ReconciliationSettings {
            report_schedule: schedule.unwrap_or_default().into(),
            charge_window: check.delta("CHARGE_WINDOW", &self.charge_window),
            settlement_window: check.delta("SETTLEMENT_WINDOW", &self.settlement_window),
            amount_tolerance: tolerance.unwrap_or_default(),
            window: check.delta("RECON_WINDOW", &self.recon_window),
            hold: hold.unwrap_or_default(),
            report_max_bytes: check.number("REPORT_MAX_BYTES", &self.report_max_bytes, 1, 1 << 40),
            report_profiles: profile_files_of(check, self.report_profiles.as_deref()).into(),
        }
    }
}

const SCHEDULE: &str =
    "provider=period, comma-separated, such as nexusbank=24h: each provider once, and a period from 1m to 366d";

/// `lists`: the configured providers that have a list.
fn schedule(text: &str, lists: &[&str]) -> Result<Vec<(String, TimeDelta)>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let entries = list_of(text, |entry| {
        let (provider, period) = entry.split_once('=').ok_or("no period")?;
        let (provider, period) = (provider.trim(), to_delta(duration(period.trim())?));
        let fits = lists.contains(&provider) && (TimeDelta::minutes(1)..=TimeDelta::days(366)).contains(&period);
        fits.then(|| (provider.to_owned(), period)).ok_or_else(|| "out of range".to_owned())
    })?;
    let is_twice = |(n, it): (usize, &(String, TimeDelta))| entries[..n].iter().any(|other| other.0 == it.0);
    if entries.iter().enumerate().any(is_twice) { Err("a provider is listed twice".to_owned()) } else { Ok(entries) }
}

fn tolerance(text: &str) -> Result<Decimal, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let read = Decimal::from_str_exact(text).ok().filter(|_| digits && text.len() <= 20);
    read.ok_or_else(|| "not a decimal number".to_owned())
}

fn profile_files_of(check: &mut Checker, folder: Option<&str>) -> Vec<ProfileFile> {
    let Some(folder) = folder.filter(|it| !it.trim().is_empty()) else { return Vec::new() };
    let files = profile_files(Path::new(folder.trim()));
    let expected = |error: &io::Error| format!("a folder of profiles in UTF-8 ({error})");
    files.map_err(|error| check.wrong("REPORT_PROFILES", Some(folder), &expected(&error))).unwrap_or_default()
}

/// Reads every `*.toml` of a folder, sorted by name.
pub fn profile_files(folder: &Path) -> io::Result<Vec<ProfileFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "toml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            files.push(ProfileFile { name, path: path.display().to_string(), text });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
