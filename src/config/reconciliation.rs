//! Settings of reconciliation.

use chrono::TimeDelta;
use clap::Args;
use rust_decimal::Decimal;

use crate::settings::Checker;

#[derive(Args, Clone)]
#[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
pub struct RawReconciliation {
    /// How far apart our answer and a provider's register may be in time before it is a difference
    #[arg(long, env, default_value = "24h")]
    pub recon_window: String,
    /// Share of a report's rows that may differ before the report is held for an operator; 100%: none is held
    #[arg(long, env, default_value = "5%")]
    pub recon_hold: String,
    /// Maximum size of a report, decompressed, in bytes
    #[arg(long, env, default_value = "1073741824")]
    pub report_max_bytes: String,
}

#[derive(Clone, Debug)]
pub struct ReconciliationSettings {
    pub window: TimeDelta,
    /// Of 100.
    pub hold: Decimal,
    pub report_max_bytes: u64,
}

impl RawReconciliation {
    pub(super) fn check(&self, check: &mut Checker) -> ReconciliationSettings {
        let hold = check.with("RECON_HOLD", &self.recon_hold, "a percentage from 0% to 100%", percentage);
        ReconciliationSettings {
            window: check.delta("RECON_WINDOW", &self.recon_window),
            hold: hold.unwrap_or_default(),
            report_max_bytes: check.number("REPORT_MAX_BYTES", &self.report_max_bytes, 1, 1 << 40),
        }
    }
}

fn percentage(text: &str) -> Result<Decimal, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let read = number.parse().ok().filter(|it| (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(it));
    read.ok_or_else(|| "out of range".to_owned())
}
