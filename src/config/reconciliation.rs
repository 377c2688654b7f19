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
    /// How long a charge waits for the step that owes it, and an expected fee for its charge
    #[arg(long, env, default_value = "45d")]
    pub charge_window: String,
    /// How long a settlement waits for its lines
    #[arg(long, env, default_value = "5d")]
    pub settlement_window: String,
    /// How much a charge may differ from the expected fee, in its currency
    #[arg(long, env, default_value = "0")]
    pub amount_tolerance: String,
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
    pub charge_window: TimeDelta,
    pub settlement_window: TimeDelta,
    pub amount_tolerance: Decimal,
    /// Of 100.
    pub hold: Decimal,
    pub report_max_bytes: u64,
}

impl RawReconciliation {
    pub(super) fn check(&self, check: &mut Checker) -> ReconciliationSettings {
        let hold = check.with("RECON_HOLD", &self.recon_hold, "a percentage from 0% to 100%", percentage);
        let expected = "a decimal number without sign, such as 0.01";
        let tolerance = check.with("AMOUNT_TOLERANCE", &self.amount_tolerance, expected, tolerance);
        ReconciliationSettings {
            charge_window: check.delta("CHARGE_WINDOW", &self.charge_window),
            settlement_window: check.delta("SETTLEMENT_WINDOW", &self.settlement_window),
            amount_tolerance: tolerance.unwrap_or_default(),
            window: check.delta("RECON_WINDOW", &self.recon_window),
            hold: hold.unwrap_or_default(),
            report_max_bytes: check.number("REPORT_MAX_BYTES", &self.report_max_bytes, 1, 1 << 40),
        }
    }
}

fn tolerance(text: &str) -> Result<Decimal, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let read = Decimal::from_str_exact(text).ok().filter(|_| digits && text.len() <= 20);
    read.ok_or_else(|| "not a decimal number".to_owned())
}

fn percentage(text: &str) -> Result<Decimal, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let read = number.parse().ok().filter(|it| (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(it));
    read.ok_or_else(|| "out of range".to_owned())
}
