//! A register of `NexusBank` over openings that the bench has filled in.

use std::fmt::Write;
use std::ops::Range;

use account_opening::clock::Time;
use chrono::TimeDelta;

use crate::file::File;
use crate::numbers::{self, Kind};

const COLUMNS: &str =
    "account_opening_request_id,reference,status,iban,bic,rejection_reason,market,currency,created_at,decided_at";

pub struct Register {
    /// Openings that are completed with us too.
    pub rows: Range<u64>,
    /// Openings that wait with us: answers that were missed.
    pub waiting: Range<u64>,
    /// Makes its bytes differ from those of every other.
    pub as_of_second: u64,
}

impl Register {
    fn len(&self) -> u64 {
        self.rows.clone().count() as u64 + self.missed()
    }

    fn missed(&self) -> u64 {
        self.waiting.clone().count() as u64
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.rows.clone().chain(self.waiting.clone())
    }

    pub fn file(&self) -> File {
        let others = self.len() - self.missed();
        let classes: Vec<(&'static [&'static str], u64)> =
            vec![(&["MISSED_ANSWER"], self.missed()), (&["MATCHED", "REPEATED"], others)];
        File { kind: "register", text: self.text(), rows: self.len(), classes }
    }

    /// The register covers the whole time in which its openings were started, and lacks none of those.
    fn text(&self) -> String {
        let show = |it: Time| it.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let from = numbers::created(self.rows.start);
        let until = numbers::created(self.rows.end) + TimeDelta::seconds(2);
        let second = i64::try_from(self.as_of_second).expect("a small number");
        let as_of = numbers::created(self.numbers().max().unwrap_or_default())
            + TimeDelta::days(2)
            + TimeDelta::seconds(second);
        let mut text =
            format!("HEADER,register,nexusbank,1,{},{},{}\n{COLUMNS}\n", show(from), show(until), show(as_of));
        for n in self.numbers() {
            let (reference, id, market) = (numbers::reference(n), numbers::id(Kind::Opening, n), numbers::market(n));
            let (iban, bic, created) = (numbers::iban(n), numbers::bic(n), show(numbers::created(n)));
            let decided = show(numbers::created(n) + TimeDelta::seconds(3));
            writeln!(text, "{reference},{id},COMPLETED,{iban},{bic},,{market},EUR,{created},{decided}")
                .expect("memory");
        }
        writeln!(text, "TRAILER,{}", self.len()).expect("memory");
        text
    }
}
