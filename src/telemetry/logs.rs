//! Log filter and log format.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::domain::text::string_enum;

string_enum!(
    /// The format of log lines.
    LogFormat {
        /// Text for people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
);

const OURS: &str = env!("CARGO_CRATE_NAME");
/// The members of the workspace that run in the service's process. A level of [`OURS`] holds for them too.
const MEMBERS: [&str; 2] = ["private_postgres", "world"];

/// A filter in the form of `tracing_subscriber::EnvFilter`, such as `info` or `info,account_opening::driver=debug`.
///
/// Levels below `info` apply to our own modules only, unless the filter names a library (`info,hyper=trace`): libraries
/// may quote the data they carry, so `LOG=trace` must not write customers' data into the log.
#[derive(Debug)]
pub struct LogFilter {
    filter: EnvFilter,
    /// The targets that the filter names.
    named: Vec<String>,
}

/// An invalid filter, or one that would suppress our errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no default level, or a part that is not a level")]
pub struct WrongFilter;

impl LogFilter {
    /// The expected form of the setting.
    pub const EXPECTED: &str = "a level (off, error, warn, info, debug, trace), optionally with levels of modules, such as info,account_opening::driver=debug";

    /// Parses a filter. Stricter than `EnvFilter`, which reads an unknown word as a module's name: `warning` or
    /// `verbose` alone would disable all logs. Each part must be a level or contain one, and our modules must have a
    /// level.
    ///
    /// # Errors
    /// If the filter is invalid.
    pub fn parse(text: &str) -> Result<Self, WrongFilter> {
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        let (mut named, mut speaks) = (Vec::new(), false);
        for part in &parts {
            if is_level(part) {
                speaks = true;
                continue;
            }
            let (what, level) = part.rsplit_once('=').ok_or(WrongFilter)?;
            let target = what.split('[').next().unwrap_or_default();
            if !is_level(level) || what.is_empty() || part.contains(char::is_whitespace) {
                return Err(WrongFilter);
            }
            speaks |= what == OURS;
            named.extend((!target.is_empty()).then(|| target.to_owned()));
        }
        let of_members = parts.iter().filter_map(|it| it.strip_prefix(OURS)).filter(|it| it.starts_with('='));
        let of_members: Vec<String> = of_members.flat_map(|level| MEMBERS.map(|it| format!("{it}{level}"))).collect();
        // The members first: a directive of their own, further on, has the last word.
        let all: Vec<&str> = of_members.iter().map(String::as_str).chain(parts.iter().copied()).collect();
        let filter = EnvFilter::try_new(all.join(",")).map_err(|_| WrongFilter)?;
        if speaks { Ok(Self { filter, named }) } else { Err(WrongFilter) }
    }

    /// Whether a library's event below `info` passes.
    fn lets(named: &[String], metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        *metadata.level() <= Level::INFO
            || target.starts_with(OURS)
            || MEMBERS.iter().any(|member| target.starts_with(member))
            || named.iter().any(|named| target.starts_with(named.as_str()))
    }
}

fn is_level(text: &str) -> bool {
    !text.is_empty() && text.parse::<LevelFilter>().is_ok()
}

/// Writes logs to standard error.
///
/// # Errors
/// If logging is already set up.
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
        let all = " info , hyper=trace,sqlx::query[request]=debug,rustls=off,";
        assert_eq!(named(all), ["hyper", "sqlx::query", "rustls"]);
    }

    /// The private Postgres tells that it restarts, also where only our modules have a level.
    #[test]
    fn a_level_of_ours_holds_for_the_members_of_the_workspace() {
        let filter = |text: &str| LogFilter::parse(text).unwrap().filter.to_string();
        for member in MEMBERS {
            assert!(filter("account_opening=info").contains(&format!("{member}=info")), "{member}");
            assert!(!filter("info,account_opening::driver=debug").contains(member), "{member}");
        }
    }

    /// G12
    #[test]
    fn a_filter_that_leaves_our_errors_out_is_none() {
        for right in ["error", "OFF", "5", "account_opening=debug", "info,[request]=trace", "info,a[{b=1}]=debug"] {
            assert!(LogFilter::parse(right).is_ok(), "{right}");
        }
        for wrong in
            ["", " ", ",", "warning", "6", "info,rustls", "hyper=trace", "info,a=", "info,=debug", "info,a=nonsense"]
        {
            assert_eq!(LogFilter::parse(wrong).err(), Some(WrongFilter), "{wrong}");
        }
    }
}
