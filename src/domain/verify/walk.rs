//! One walk along one history, from its first row to its anchor.

use uuid::Uuid;

use super::{Anchor, Finding, Flaw, Link};
use crate::domain::StateName;
use crate::domain::chain::{Hash, HistoryKey, Row};

/// How many deleted rows are looked for where those behind were renumbered: a legal history has fewer.
const MAX_DELETED: i64 = 8;

/// What stands before the next row: a hash, a state.
#[derive(Clone, Copy, PartialEq)]
enum Before<T> {
    /// This, or nothing: the next row is the first.
    Known(Option<T>),
    /// It went with a row that is gone or edited: the next row cannot be checked against it, only those after that.
    Lost,
}

pub(super) struct Walk<'a> {
    key: &'a HistoryKey,
    opening: Uuid,
    anchor: &'a Anchor<'a>,
    /// Put back into their places as swaps are found.
    links: Vec<Link<'a>>,
    before: Before<Hash>,
    /// The version that should come next, as it stands in the table.
    expected: i64,
    /// What must be added to a version to have the one that the chain was made over: rows were renumbered.
    shift: i64,
    /// The state so far.
    state: Before<&'a str>,
    /// Whether the last row was found to be what the chain was made over.
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

    /// Whether a row, as this version, with this hash follows.
    fn fits(&self, before: Option<Hash>, row: Row<'_>, version: i64, hash: &[u8]) -> bool {
        self.key.link(before.as_ref(), &Row { version, ..row }) == hash
    }

    /// The version of a row when the chain was made. Versions may be any number here.
    const fn made_as(&self, link: &Link<'_>) -> i64 {
        link.row.version.saturating_add(self.shift)
    }

    /// Whether all that the anchor knows of has been seen, and this version is more.
    fn is_beyond_anchor(&self, version: i64) -> bool {
        let Before::Known(Some(head)) = self.before else { return false };
        head == self.anchor.head && self.anchor.version < version
    }

    fn step(&mut self, index: usize) {
        let version = self.links[index].row.version;
        if version < self.expected {
            // Below the first, or a second one of the same version: the table's key was taken away.
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

    /// A row that is what the chain was made over, or that nothing speaks against.
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

    /// Finds the row that this one was swapped with, whole or in part, and puts both back.
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

    /// Whether the row at `index` follows the one that would stand before `other`, were the two swapped back. Without it, a
    /// row that was inserted would pass for one of two that were swapped.
    fn would_fit(&self, index: usize, other: usize) -> bool {
        let (here, there) = (self.links[index], self.links[other]);
        let before = if other == index + 1 { hash_of(&there) } else { hash_of(&self.links[other - 1]) };
        before.is_some() && self.fits(before, here.row, self.made_as(&there), here.hash)
    }

    /// Whether the chain goes on without this row: the next one stands where it should, or the anchor knows of none.
    fn is_inserted(&mut self, before: Option<Hash>, index: usize) -> bool {
        let version = self.links[index].row.version;
        if let Some(next) = self.links.get(index + 1).copied()
            && self.fits(before, next.row, self.made_as(&self.links[index]), next.hash)
        {
            self.shift = self.shift.saturating_add(version.saturating_sub(next.row.version));
            if next.row.version == version {
                // Two of one version: the other is the real one.
                self.expected = version;
            }
            return true;
        }
        self.is_beyond_anchor(self.made_as(&self.links[index]))
    }

    /// How many rows before this one are gone without a gap, because those behind were renumbered: what the next row was.
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
        // Was it the row that was edited, or its hash? The next row was made over one of the two.
        let made = self.key.link(before.as_ref(), &Row { version: self.made_as(&link), ..link.row });
        let only_hash = self
            .links
            .get(index + 1)
            .is_some_and(|next| self.fits(Some(made), next.row, self.made_as(next), next.hash));
        let stored = if only_hash { Some(made) } else { hash_of(&link) };
        self.before = stored.map_or(Before::Lost, |hash| Before::Known(Some(hash)));
    }

    /// The end, against the anchor.
    fn arrive(&mut self) {
        let last = self.expected - 1;
        let appended = self.findings.iter().any(|it| it.flaw == Flaw::Inserted && it.version > self.anchor.version);
        // Whoever renumbered the rows may have thought of the anchor or not.
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
