//! Walks one history from its first row to its anchor.

use uuid::Uuid;

use super::{Anchor, Finding, Flaw, Link};
use crate::domain::StateName;
use crate::domain::chain::{Hash, HistoryKey, Row};

/// The maximum number of deleted rows to search for when later rows were renumbered. A legal history has fewer rows.
const MAX_DELETED: i64 = 8;

/// The hash or the state before the next row.
#[derive(Clone, Copy, PartialEq)]
enum Before<T> {
    /// Known. None: the next row is the first.
    Known(Option<T>),
    /// Unknown, because its row is missing or edited. The next row cannot be checked against it; the rows after that
    /// can.
    Lost,
}

pub(super) struct Walk<'a> {
    key: &'a HistoryKey,
    opening: Uuid,
    anchor: &'a Anchor<'a>,
    /// Swapped rows are put back as they are found.
    links: Vec<Link<'a>>,
    before: Before<Hash>,
    /// The next expected version, as stored.
    expected: i64,
    /// The difference between the chained and the stored version, after rows were renumbered.
    shift: i64,
    /// The state after the previous row.
    state: Before<&'a str>,
    /// Whether the previous row matched the chain.
    sound: bool,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    pub fn new(key: &'a HistoryKey, opening: Uuid, anchor: &'a Anchor<'a>, links: &[Link<'a>]) -> Self {
        Self {
            key,
            opening,
            anchor,
            links: links.to_vec(),
            before: Before::Known(None),
            expected: 1,
            shift: 0,
            state: Before::Known(None),
            sound: true,
            findings: Vec::new(),
        }
    }

    pub fn findings(mut self) -> Vec<Finding> {
        for index in 0..self.links.len() {
            self.step(index);
        }
        self.arrive();
        self.findings
    }

    fn found(&mut self, version: i64, flaw: Flaw) {
        self.findings.push(Finding { opening: self.opening, version, flaw });
    }

    /// Whether `hash` is the link of `row`, as version `version`, after `before`.
    fn fits(&self, before: Option<Hash>, row: Row<'_>, version: i64, hash: &[u8]) -> bool {
        self.key.link(before.as_ref(), &Row { version, ..row }) == hash
    }

    /// The row's version when the chain was made. The stored version may be any number.
    const fn made_as(&self, link: &Link<'_>) -> i64 {
        link.row.version.saturating_add(self.shift)
    }

    /// Whether the anchor's last row was reached and `version` lies behind it.
    fn is_beyond_anchor(&self, version: i64) -> bool {
        let Before::Known(Some(head)) = self.before else { return false };
        head == self.anchor.head && self.anchor.version < version
    }

    fn step(&mut self, index: usize) {
        let version = self.links[index].row.version;
        if version < self.expected {
            // A version below 1 or a second row of the same version: the table's primary key was removed.
            self.found(version, Flaw::Inserted);
            return;
        }
        if version > self.expected {
            if self.is_beyond_anchor(version) {
                self.found(version, Flaw::Inserted);
                return;
            }
            self.found(self.expected, Flaw::Deleted { to: version - 1 });
            (self.before, self.state) = (Before::Lost, Before::Lost);
        }
        self.expected = version.saturating_add(1);
        let Before::Known(before) = self.before else { return self.take(index) };
        if self.follows(before, index) {
            return self.take(index);
        }
        if self.put_back(before, index) {
            return self.take(index);
        }
        if self.is_inserted(before, index) {
            self.found(version, Flaw::Inserted);
            return;
        }
        self.sound = false;
        self.state = Before::Lost;
        if let Some(deleted) = self.deleted_before(index) {
            let first = self.made_as(&self.links[index]);
            self.found(first, Flaw::Deleted { to: first + deleted - 1 });
            self.shift += deleted;
            self.before = Before::Known(hash_of(&self.links[index]));
            return;
        }
        self.edited(before, index);
    }

    fn follows(&self, before: Option<Hash>, index: usize) -> bool {
        let Link { row, hash } = self.links[index];
        self.fits(before, row, self.made_as(&self.links[index]), hash)
    }

    /// Accepts a row: it matches the chain, or nothing can be checked against it.
    fn take(&mut self, index: usize) {
        let link = self.links[index];
        let continues = [Before::Lost, Before::Known(link.row.from)].contains(&self.state);
        if !continues || !is_legal(link.row.from, link.row.to) {
            let (from, to) = (link.row.from.map(str::to_owned), link.row.to.to_owned());
            self.found(link.row.version, Flaw::IllegalStep { from, to });
        }
        self.state = Before::Known(Some(link.row.to));
        self.sound = true;
        self.before = hash_of(&link).map_or(Before::Lost, |hash| Before::Known(Some(hash)));
    }

    /// Finds the row that this row was swapped with, completely or in part, and puts both back.
    fn put_back(&mut self, before: Option<Hash>, index: usize) -> bool {
        let here = self.links[index];
        let version = self.made_as(&here);
        for other in index + 1..self.links.len() {
            let there = self.links[other];
            let (mut first, mut second) = (here, there);
            if self.fits(before, there.row, version, there.hash) && self.would_fit(index, other) {
                (first.row, first.hash, second.row, second.hash) = (there.row, there.hash, here.row, here.hash);
            } else if self.fits(before, there.row, version, here.hash) {
                (first.row, second.row) = (there.row, here.row);
            } else if self.fits(before, here.row, version, there.hash) {
                (first.hash, second.hash) = (there.hash, here.hash);
            } else {
                continue;
            }
            (first.row.version, second.row.version) = (here.row.version, there.row.version);
            (self.links[index], self.links[other]) = (first, second);
            self.found(here.row.version, Flaw::Swapped { with: there.row.version });
            return true;
        }
        false
    }

    /// Whether the row at `index` would fit at `other` if the two were swapped back. Without this check an inserted row
    /// would pass for one of two swapped rows.
    fn would_fit(&self, index: usize, other: usize) -> bool {
        let (here, there) = (self.links[index], self.links[other]);
        let before = if other == index + 1 { hash_of(&there) } else { hash_of(&self.links[other - 1]) };
        before.is_some() && self.fits(before, here.row, self.made_as(&there), here.hash)
    }

    /// Whether the chain continues without this row: the next row fits in its place, or the anchor ends before it.
    fn is_inserted(&mut self, before: Option<Hash>, index: usize) -> bool {
        let version = self.links[index].row.version;
        if let Some(next) = self.links.get(index + 1).copied()
            && self.fits(before, next.row, self.made_as(&self.links[index]), next.hash)
        {
            self.shift = self.shift.saturating_add(version.saturating_sub(next.row.version));
            if next.row.version == version {
                // Two rows have the same version; the other is the genuine one.
                self.expected = version;
            }
            return true;
        }
        self.is_beyond_anchor(self.made_as(&self.links[index]))
    }

    /// The number of rows deleted before this one without a gap, because the later rows were renumbered.
    fn deleted_before(&self, index: usize) -> Option<i64> {
        let (here, next) = (self.links[index], self.links.get(index + 1)?);
        let before = Some(hash_of(&here)?);
        let fits = |by: i64| self.fits(before, next.row, self.made_as(next).saturating_add(by), next.hash);
        if fits(0) { None } else { (1..=MAX_DELETED).find(|by| fits(*by)) }
    }

    fn edited(&mut self, before: Option<Hash>, index: usize) {
        let link = self.links[index];
        let version = link.row.version;
        let run = self.findings.last_mut().and_then(|last| match &mut last.flaw {
            Flaw::Edited { to } if *to == version - 1 => Some(to),
            _ => None,
        });
        match run {
            Some(to) => *to = version,
            None => self.found(version, Flaw::Edited { to: version }),
        }
        // Was the row edited, or its hash? The next row was chained over the original one.
        let made = self.key.link(before.as_ref(), &Row { version: self.made_as(&link), ..link.row });
        let only_hash = self
            .links
            .get(index + 1)
            .is_some_and(|next| self.fits(Some(made), next.row, self.made_as(next), next.hash));
        let stored = if only_hash { Some(made) } else { hash_of(&link) };
        self.before = stored.map_or(Before::Lost, |hash| Before::Known(Some(hash)));
    }

    /// Compares the end of the history with the anchor.
    fn arrive(&mut self) {
        let last = self.expected - 1;
        let appended = self.findings.iter().any(|it| it.flaw == Flaw::Inserted && it.version > self.anchor.version);
        // An attacker that renumbered the rows may or may not have adjusted the anchor.
        let made = last.saturating_add(self.shift);
        if self.anchor.version > last.max(made) {
            self.found(last + 1, Flaw::Truncated { to: self.anchor.version });
        } else if self.anchor.version < last.min(made) && !appended {
            self.found(last, Flaw::AnchorDisagrees { about: "version" });
        } else if self.sound {
            if self.state != Before::Known(Some(self.anchor.state)) {
                self.found(last, Flaw::AnchorDisagrees { about: "state" });
            }
            if let Before::Known(Some(head)) = self.before
                && head != self.anchor.head
            {
                self.found(last, Flaw::AnchorDisagrees { about: "head" });
            }
        }
    }
}

fn hash_of(link: &Link<'_>) -> Option<Hash> {
    link.hash.try_into().ok()
}

fn is_legal(from: Option<&str>, to: &str) -> bool {
    let Ok(to) = to.parse::<StateName>() else { return false };
    match from.map(str::parse::<StateName>) {
        None => to == StateName::CreatingProfile,
        Some(Ok(from)) => from.may_become().contains(&to),
        Some(Err(_)) => false,
    }
}
