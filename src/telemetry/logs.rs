//! What is logged, and how it looks.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::domain::text::words;

words!(
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
);

/// Our own modules.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// What is logged: a filter in the form of `tracing_subscriber::EnvFilter`, such as `info` or
/// `info,account_opening::workers=debug`.
///
/// Below `info` it holds for our own modules alone, unless it names another: what the libraries say there is theirs to
/// choose and may quote what they carry, so `LOG=trace` must not write it into the log of a service with customers in it.
/// Whoever names a library (`info,hyper=trace`) has asked for just that.
#[derive(Debug)]
pub struct LogFilter {
    filter: EnvFilter,
    /// Targets that it names.
    named: Vec<String>,
}

impl LogFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let target = |directive: &str| {
            let target = directive.split(['=', '[']).next().unwrap_or_default().trim();
            (!target.is_empty() && target.parse::<LevelFilter>().is_err()).then(|| target.to_owned())
        };
        Ok(Self { filter: EnvFilter::try_new(text)?, named: text.split(',').filter_map(target).collect() })
    }

    /// Whether it lets libraries speak below `info`.
    fn lets(named: &[String], metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        *metadata.level() <= Level::INFO
            || target.starts_with(OURS)
            || named.iter().any(|named| target.starts_with(named.as_str()))
    }
}

/// Sends logs to standard error.
///
/// # Errors
/// When logs already go somewhere.
pub fn init_logs(filter: LogFilter, format: LogFormat) -> Result<(), TryInitError> {
    let LogFilter { filter, named } = filter;
    let libraries = filter_fn(move |metadata| LogFilter::lets(&named, metadata));
    let registry = tracing_subscriber::registry().with(filter).with(libraries);
    let colours = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    match format {
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_named_by_its_target_and_a_level_names_none() {
        let named = |text: &str| LogFilter::parse(text).unwrap().named;
        assert!(named("trace").is_empty() && named("INFO").is_empty() && named("5").is_empty());
        assert!(named("debug,[request]=trace").is_empty());
        assert_eq!(named("info,hyper=trace,sqlx::query[request]=debug,rustls"), ["hyper", "sqlx::query", "rustls"]);
        assert!(LogFilter::parse("info,a=nonsense").is_err());
    }
}
