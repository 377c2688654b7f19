//! A bar chart of a day by hours as SVG, and the table beside it. The browser draws it without a script.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DurationRound, TimeDelta};

use super::{Moment, capped};
use crate::clock::Time;
use crate::db::today::InHour;

/// The hours of a chart.
const HOURS: i64 = 24;
/// The size of a bar and its place, and the height of the chart, in the units of its view box.
const BAR: i64 = 14;
const PLACE: i64 = 20;
const HEIGHT: i64 = 120;

/// A counted thing: its word, and the class of its colour.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    pub word: &'static str,
    pub tone: &'static str,
}

#[derive(Debug, Template)]
#[template(path = "parts/chart.html")]
pub struct Chart {
    pub id: &'static str,
    pub title: &'static str,
    width: i64,
    series: Vec<Series>,
    bars: Vec<Bar>,
    rows: Vec<Row>,
    total: i64,
}

impl HtmlSafe for Chart {}

#[derive(Debug)]
struct Bar {
    x: i64,
    y: i64,
    height: i64,
    tone: &'static str,
}

#[derive(Debug)]
struct Row {
    hour: Moment,
    counts: Vec<String>,
}

/// The beginnings of the last hours, oldest first; the last one has begun and not ended.
#[must_use]
pub fn hours(now: Time) -> Vec<Time> {
    let last = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    (0..HOURS).rev().map(|ago| last - TimeDelta::hours(ago)).collect()
}

impl Chart {
    /// `series_of` says which of the series a counted word belongs to.
    #[must_use]
    pub fn new(
        id: &'static str,
        title: &'static str,
        series: &[Series],
        hours: &[Time],
        counted: &[InHour],
        series_of: impl Fn(&str) -> usize,
    ) -> Self {
        let count = |hour: &Time, wanted: usize| {
            let of_it = counted.iter().filter(|it| it.hour == *hour && series_of(&it.word) == wanted);
            of_it.map(|it| it.count).sum::<i64>()
        };
        let table: Vec<Vec<i64>> =
            hours.iter().map(|hour| (0..series.len()).map(|it| count(hour, it)).collect()).collect();
        let most = table.iter().map(|it| it.iter().sum()).max().unwrap_or_default();
        let row = |(hour, counts): (&Time, &Vec<i64>)| Row {
            hour: Moment::from(*hour),
            counts: counts.iter().map(|it| capped(*it)).collect(),
        };
        Self {
            id,
            title,
            width: PLACE * HOURS,
            series: series.to_vec(),
            bars: bars(series, &table, most),
            rows: hours.iter().zip(&table).rev().map(row).collect(),
            total: table.iter().flatten().sum(),
        }
    }
}

/// The parts of each hour's bar, from the ground up. A count above zero is at least one unit high.
fn bars(series: &[Series], table: &[Vec<i64>], most: i64) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut x = (PLACE - BAR) / 2;
    for counts in table {
        let mut y = HEIGHT;
        for (series, count) in series.iter().zip(counts).filter(|(_, count)| **count > 0) {
            let height = (count * (HEIGHT - 4) / most.max(1)).max(1);
            y -= height;
            bars.push(Bar { x, y, height, tone: series.tone });
        }
        x += PLACE;
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: [Series; 2] = [Series { word: "webhook", tone: "a" }, Series { word: "poll", tone: "b" }];

    #[test]
    fn a_day_has_24_hours_and_each_bar_stands_on_the_one_below() {
        let now: Time = "2026-01-02T10:30:00Z".parse().unwrap();
        let hours = hours(now);
        assert_eq!((hours.len(), hours[23].to_rfc3339()), (24, "2026-01-02T10:00:00+00:00".to_owned()));
        let counted = |hour: usize, word: &str, count| InHour { hour: hours[hour], word: word.to_owned(), count };
        let counted = [counted(23, "webhook", 3), counted(23, "poll", 1), counted(0, "poll", 2)];
        let chart = Chart::new("c", "t", &SERIES, &hours, &counted, |word| usize::from(word == "poll"));
        assert_eq!(chart.total, 6);
        let bars: Vec<_> = chart.bars.iter().map(|it| (it.x, it.y, it.height, it.tone)).collect();
        assert_eq!(bars, [(3, 62, 58, "b"), (463, 33, 87, "a"), (463, 4, 29, "b")]);
        assert_eq!(chart.rows[0].counts, ["3", "1"], "the newest hour comes first");
    }
}
