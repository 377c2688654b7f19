//! Lists: their addresses with filters, counts and spans of time.

use askama::filters::urlencode_strict;
use chrono::TimeDelta;

pub use crate::db::gauges::MAX_COUNTED;
use crate::http::dashboard::Layout;

/// The address of a list with these filters.
#[must_use]
pub fn filtered(layout: &Layout, path: &str, filters: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        let Ok(value) = urlencode_strict(value);
        format!("{name}={value}")
    };
    let pairs: Vec<String> = filters.iter().filter(|(_, value)| !value.is_empty()).map(pair).collect();
    format!("{}?{}", layout.url(path), pairs.join("&"))
}

/// A count, with a plus sign if there are more than are counted: `10 000+`.
#[must_use]
pub fn counted(count: i64) -> String {
    let (shown, more) = (count.min(MAX_COUNTED), if count > MAX_COUNTED { "+" } else { "" });
    if shown < 1_000 {
        return format!("{shown}{more}");
    }
    format!("{} {:03}{more}", shown / 1_000, shown % 1_000)
}

/// A count that may be one of more than were looked at.
#[must_use]
pub fn at_least(count: i64, is_cut: bool) -> String {
    if is_cut && count <= MAX_COUNTED { format!("{}+", counted(count)) } else { counted(count) }
}

/// A span in its two largest units.
#[must_use]
pub fn span(span: TimeDelta) -> String {
    let minutes = span.num_minutes().max(0);
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{} s", span.num_seconds().max(0)),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (seconds, text) in [
            (-1, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h 0 min"),
            (86_460, "1 d 0 h"),
            (180_000, "2 d 2 h"),
        ] {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
    }

    #[test]
    fn a_count_says_when_there_are_more() {
        for (count, text) in [(0, "0"), (999, "999"), (1_020, "1 020"), (10_000, "10 000")] {
            assert_eq!(counted(count), text);
        }
        assert_eq!((counted(10_001), at_least(10_001, true)), ("10 000+".to_owned(), "10 000+".to_owned()));
        assert_eq!((at_least(7, true), at_least(7, false)), ("7+".to_owned(), "7".to_owned()));
    }
}
