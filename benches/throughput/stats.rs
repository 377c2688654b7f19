//! Percentiles and medians.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A figure that is measured in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    Acknowledged,
    Applied,
    P50,
    P99,
    P999,
    ToApplied,
    ServiceCpu,
    PostgresCpu,
    LoadCpu,
    OthersCpu,
    Wal,
    Written,
    Memory,
    NotTaken,
}

/// The figures of one phase of one round.
pub type Figures = BTreeMap<Figure, f64>;

/// The value at `share` (0.99: the 99th percentile) of sorted values.
pub fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied()
}

/// The percentiles of some sorted latencies; none of none.
pub fn of_latencies(sorted: &[Duration]) -> Figures {
    let places = [(Figure::P50, 0.5), (Figure::P99, 0.99), (Figure::P999, 0.999)];
    places.into_iter().filter_map(|(figure, share)| Some((figure, millis(percentile(sorted, share)?)))).collect()
}

pub fn per_second(count: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let count = count as f64;
    count / took.as_secs_f64()
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The middle of some values, and their ends.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, least, most })
    }
}

/// `median (least–most)`; the median alone where there was one value.
impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { median, least, most } = *self;
        let digits = usize::from(median < 100.0) + usize::from(median < 10.0);
        #[expect(clippy::float_cmp, reason = "the same value, not one that was computed")]
        let one = least == most;
        if one {
            write!(f, "{median:.digits$}")
        } else {
            write!(f, "{median:.digits$} ({least:.digits$}–{most:.digits$})")
        }
    }
}
