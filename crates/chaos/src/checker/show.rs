//! The report for people: the numbers in a table, then each kind of violation with its first examples.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::measures::Strikes;
use super::report::{Kind, Report, Violation};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = if self.invalid.is_empty() { "valid" } else { "INVALID" };
        writeln!(f, "{:?}: {verdict}, {} violations", self.moment, self.violations())?;
        for why in &self.invalid {
            writeln!(f, "  INVALID  {why}")?;
        }
        self.numbers(f)?;
        for kind in Kind::ALL {
            let Some(found) = self.found.get(&kind) else { continue };
            writeln!(f, "  {:<20} {:>9}", kind.name(), found.count)?;
            for violation in &found.examples {
                writeln!(f, "    {violation}")?;
            }
            let more = found.count.saturating_sub(u64::try_from(found.examples.len()).unwrap_or(u64::MAX));
            if more > 0 {
                writeln!(f, "    and {more} more")?;
            }
        }
        Ok(())
    }
}

impl Report {
    fn numbers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (what, count) in [("acked", self.acked), ("unknown", self.unknown), ("refused", self.refused)] {
            writeln!(f, "  {what:<20} {:>9} openings {:>9} webhooks", count.openings, count.webhooks)?;
        }
        let load = &self.load;
        for (what, rate) in [("openings", load.openings), ("messages", load.messages), ("reads", load.reads)] {
            let of = format!("{:>9} of {:.0} planned ({:.1} %)", rate.achieved, rate.planned, rate.percent);
            writeln!(f, "  {what:<20} {of}")?;
        }
        writeln!(f, "  {:<20} {:>9}   unread {}", "requests", load.requests, load.unread)?;
        let shares = load.shares;
        let told = [
            ("duplicated", shares.duplicated),
            ("reordered", shares.reordered),
            ("dropped", shares.dropped),
            ("forged", shares.forged),
            ("hung up", shares.hung_up),
        ];
        let told: Vec<String> = told.into_iter().map(|(what, share)| format!("{what} {share:.1} %")).collect();
        writeln!(f, "  {:<20} {}", "shares", told.join(", "))?;
        for (fault, it) in &self.faults {
            let name = format!("{fault:?}");
            let calls = if it.calls > 0 { format!(" ({} calls)", it.calls) } else { String::new() };
            let Strikes { struck, with_evidence, least, .. } = it;
            writeln!(f, "  {name:<20} {struck:>9} struck, {with_evidence} shown, {least} at least{calls}")?;
        }
        for (what, counts) in [
            ("states", &self.states),
            ("tickets", &self.tickets),
            ("cases", &self.cases),
            ("dead letters", &self.dead_letters),
        ] {
            writeln!(f, "  {what:<20} {}", listed(counts))?;
        }
        let readers: BTreeMap<String, u64> = self.readers.iter().map(|(id, count)| (id.to_string(), *count)).collect();
        writeln!(f, "  {:<20} {}", "events by reader", listed(&readers))
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let all: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (what, id) in [("opening", &self.opening), ("key", &self.key), ("webhook", &self.webhook_id)] {
            if let Some(id) = id {
                write!(f, "{what} {id}, ")?;
            }
        }
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}
