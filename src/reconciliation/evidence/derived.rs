//! Files of a bundle that are functions of others, so that `verify` makes them again and compares: a table for people, the balances.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use rust_decimal::Decimal;
use serde_json::Value;

use super::lines::{BalanceLine, LedgerLine};
use crate::csv::record;
use crate::report_files::row::Kind;

/// A column: its title, and where its value stands in a line of `rows.jsonl`. The first place that has one counts.
type Column = (&'static str, &'static [&'static str]);

const OF_EVERY_ROW: [Column; 6] = [
    ("line", &["/line"]),
    ("row_key", &["/row_key"]),
    ("class", &["/class"]),
    ("rule", &["/rule"]),
    ("opening_id", &["/opening_id"]),
    ("redacted", &["/redacted"]),
];

const OF_REGISTER: [Column; 14] = [
    ("their_tracking_id", &["/theirs/provider_reference"]),
    ("our_tracking_id", &["/ours/by_tracking_id/provider_reference", "/ours/by_reference/provider_reference"]),
    ("their_reference", &["/theirs/reference"]),
    ("their_status", &["/theirs/status"]),
    ("our_state", &["/ours/by_tracking_id/state", "/ours/by_reference/state"]),
    ("their_iban", &["/theirs/iban"]),
    ("our_iban", &["/ours/by_tracking_id/iban", "/ours/by_reference/iban"]),
    ("their_bic", &["/theirs/bic"]),
    ("our_bic", &["/ours/by_tracking_id/bic", "/ours/by_reference/bic"]),
    ("their_market", &["/theirs/market"]),
    ("our_market", &["/ours/by_tracking_id/market", "/ours/by_reference/market"]),
    ("their_currency", &["/theirs/currency"]),
    ("our_currency", &["/ours/by_tracking_id/currency", "/ours/by_reference/currency"]),
    ("their_reason", &["/theirs/rejection_reason"]),
];

const OF_CHARGES: [Column; 14] = [
    ("type", &["/theirs/line_type"]),
    ("code", &["/theirs/code"]),
    ("their_tracking_id", &["/theirs/provider_reference"]),
    ("their_reference", &["/theirs/reference"]),
    ("their_quantity", &["/theirs/quantity"]),
    ("our_quantity", &["/ours/lines/count"]),
    ("their_amount", &["/theirs/amount"]),
    ("our_amount", &["/ours/ours/expected/amount", "/ours/lines/amount"]),
    ("their_tax", &["/theirs/tax"]),
    ("our_tax", &["/ours/ours/expected/tax", "/ours/lines/tax"]),
    ("their_currency", &["/theirs/currency"]),
    ("our_currency", &["/ours/ours/expected/currency"]),
    ("their_settlement", &["/theirs/settlement_id"]),
    ("their_description", &["/theirs/description"]),
];

const OF_BANK: [Column; 9] = [
    ("our_settlement", &["/ours/settlement/id"]),
    ("their_amount", &["/theirs/amount"]),
    ("our_amount", &["/ours/settlement/dues/0/amount"]),
    ("their_currency", &["/theirs/currency"]),
    ("our_currency", &["/ours/settlement/dues/0/currency"]),
    ("their_booked_on", &["/theirs/booked_on"]),
    ("their_statement", &["/theirs/statement_id"]),
    ("their_reference", &["/theirs/servicer_reference"]),
    ("their_end_to_end_id", &["/theirs/end_to_end_id"]),
];

const fn columns(kind: Option<Kind>) -> &'static [Column] {
    match kind {
        Some(Kind::Register) => &OF_REGISTER,
        Some(Kind::Charges) => &OF_CHARGES,
        Some(Kind::Bank) => &OF_BANK,
        None => &[],
    }
}

/// `matches.csv` from `rows.jsonl`: each row beside what we held, for a spreadsheet. The exact values stand in `rows.jsonl`.
pub fn matches(rows: &mut dyn BufRead, into: &mut dyn Write) -> io::Result<()> {
    let mut of_kind: Option<&[Column]> = None;
    for line in rows.lines() {
        let row: Value = serde_json::from_str(&line?)?;
        if of_kind.is_none() {
            let columns = columns(serde_json::from_value(row["kind"].clone()).ok());
            into.write_all(record(OF_EVERY_ROW.iter().chain(columns).map(|(title, _)| *title)).as_bytes())?;
            of_kind = Some(columns);
        }
        let value = |(_, places): &Column| places.iter().find_map(|place| row.pointer(place).and_then(text));
        let all = OF_EVERY_ROW.iter().chain(of_kind.unwrap_or_default());
        into.write_all(record(all.map(|it| value(it).unwrap_or_default())).as_bytes())?;
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// `balances.jsonl` from `ledger.jsonl`: the balance of each account by its lines.
pub fn balances(ledger: &mut dyn BufRead, into: &mut dyn Write) -> io::Result<()> {
    let mut balances: BTreeMap<(String, String, String), Decimal> = BTreeMap::new();
    for line in ledger.lines() {
        let LedgerLine { provider, debit, credit, amount, currency, .. } = serde_json::from_str(&line?)?;
        for (account, moved) in [(debit, -amount), (credit, amount)] {
            let balance = balances.entry((provider.clone(), account, currency.clone())).or_default();
            *balance = balance.checked_add(moved).ok_or_else(|| io::Error::other("a balance is too large"))?;
        }
    }
    for ((provider, account, currency), balance) in balances {
        serde_json::to_writer(&mut *into, &BalanceLine { provider, account, currency, balance })?;
        into.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_text() {
        let row = |key: &str, amount: &str| {
            let theirs = serde_json::json!({"amount": amount, "description": "=cmd|'/c calc'!A0\nx"});
            serde_json::json!({"line": 3, "row_key": key, "kind": "charges", "theirs": theirs, "ours": null})
                .to_string()
        };
        let (rows, mut table) = (format!("{}\n{}\n", row("@a", "-1"), row("b,\"c", "1")), Vec::new());
        matches(&mut rows.as_bytes(), &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert!(
            table.contains("\r\n3,'@a,,,") && table.contains(",'-1,") && table.contains("3,\"b,\"\"c\","),
            "{table}"
        );
        assert!(table.contains("\"'=cmd|'/c calc'!A0\nx\"\r\n"), "{table}");
    }

    #[test]
    fn balances_are_credits_less_debits() {
        let line = |debit: &str, credit: &str, amount: &str| {
            let id = uuid::Uuid::nil();
            serde_json::json!({"id": id, "cause": "", "provider": "p", "debit": debit, "credit": credit, "amount": amount,
                "tax": "0", "currency": "EUR"})
            .to_string()
        };
        let ledger = format!("{}\n{}\n", line("cost", "expected", "6.05"), line("expected", "charged", "6.00"));
        let mut made = Vec::new();
        balances(&mut ledger.as_bytes(), &mut made).unwrap();
        let balance = |account: &str, it: &str| {
            format!("{{\"provider\":\"p\",\"account\":\"{account}\",\"currency\":\"EUR\",\"balance\":\"{it}\"}}\n")
        };
        let expected = [balance("charged", "6.00"), balance("cost", "-6.05"), balance("expected", "0.05")].concat();
        assert_eq!(String::from_utf8(made).unwrap(), expected);
    }
}
