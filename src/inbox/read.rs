//! Reads a row of the inbox: a provider's words by its adapter, our own facts as they were written.

use crate::db::inbox::Pending;
use crate::domain::{Fact, Source};
use crate::outbound::json::place;
use crate::provider::{Headers, Parsed, Providers};

/// The fact in a row, and its source. The error says why this version cannot read it.
pub fn fact(providers: &Providers, row: &Pending) -> Result<(Source, Fact), String> {
    let source: Source = row.source.parse().map_err(|error| format!("source {error}"))?;
    let from_provider = matches!(source, Source::Webhook | Source::Sandbox | Source::List);
    if !from_provider {
        let fact =
            serde_json::from_slice(&row.body).map_err(|error| format!("not one of our facts: {}", place(&error)))?;
        return Ok((source, fact));
    }
    let provider = providers.get(&row.provider).ok_or("unknown_provider")?;
    let headers = Headers::stored(&row.headers);
    let part = usize::try_from(row.part).unwrap_or(usize::MAX);
    let parsed = match source {
        Source::List => provider.parse_item(&row.body),
        _ => provider.parse(&headers, &row.body),
    };
    match parsed {
        Parsed::Reports(mut reports) if part < reports.len() => {
            Ok((source, Fact::Reported { report: reports.swap_remove(part) }))
        }
        Parsed::Unreadable(cause) => Err(cause),
        _ => Err("it carries no report".to_owned()),
    }
}
