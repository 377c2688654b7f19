//! The load's history, indexed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::lines;
use crate::record::{BankFile, Fault, Plan, Seen as Line};

/// The load's history. Times are microseconds since the epoch.
#[derive(Default)]
pub struct Seen {
    pub plan: Option<Plan>,
    pub began: Option<i64>,
    pub ended: Option<i64>,
    pub opens: Vec<Open>,
    pub opened: Vec<Opened>,
    pub messages: Vec<Message>,
    pub sends: BTreeMap<u64, Sent>,
    pub answers: Vec<(u64, u16)>,
    /// By opening, in the order in which the answers arrived.
    pub reads: BTreeMap<String, Vec<Reading>>,
    /// Readings without an answer of 200.
    pub unread: Vec<Unread>,
    pub told: BTreeMap<usize, Vec<Told>>,
    /// The webhook ids that reached the subscriber.
    pub delivered: HashSet<String>,
    /// Each strike, and whether there is evidence of it.
    pub faults: Vec<(Fault, bool)>,
    /// When the database was restored, if it was.
    pub restored: Option<Restored>,
    /// The bank's files by their number.
    pub files: BTreeMap<u64, BankFile>,
    /// The uploads by the number of their file, and the report that was answered.
    pub uploads: Vec<(u64, Option<String>)>,
    /// Lines that a load cannot have written.
    pub odd: Vec<String>,
}

/// The restore of the database from a dump.
pub struct Restored {
    pub at: i64,
    pub dumped_at: i64,
    pub before: i64,
    pub after: i64,
}

/// An opening was asked for.
pub struct Open {
    pub at: i64,
    pub key: String,
    pub first: bool,
    pub hang_up: bool,
}

/// An opening was answered for.
pub struct Opened {
    pub key: String,
    pub replica: usize,
    pub status: u16,
    pub id: Option<String>,
}

/// A message of the bank.
pub struct Message {
    pub at: i64,
    pub webhook_id: String,
    pub sha256: String,
    pub reference: String,
    pub status: String,
    pub dropped: bool,
    pub reordered: bool,
    pub copies: u32,
}

/// A request with a message.
pub struct Sent {
    pub at: i64,
    pub webhook_id: String,
    pub sha256: String,
    pub replica: usize,
    pub forged: bool,
    pub hang_up: bool,
    pub folded: bool,
}

/// An opening as it was read.
pub struct Reading {
    pub at: i64,
    pub replica: usize,
    pub version: i64,
    pub state: String,
}

/// A reading that was not answered with 200.
pub struct Unread {
    pub at: i64,
    pub replica: usize,
    pub status: u16,
}

/// An event as received by a reader.
pub struct Told {
    pub id: String,
    pub kind: String,
    pub opening: String,
    pub version: i64,
}

impl Seen {
    /// Reads the history and the problems of the file.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub fn read(path: &Path, growing: bool) -> anyhow::Result<(Self, Vec<String>)> {
        let mut seen = Self::default();
        let broken = lines::each(path, "history", growing, |line: Line| {
            seen.take(line);
            Ok(())
        })?;
        Ok((seen, broken))
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Plan(plan) => self.plan = self.plan.take().or(Some(plan)),
            Line::Load { at, running: true } => self.began = self.began.or(Some(at)),
            Line::Load { at, running: false } => self.ended = Some(at),
            Line::Open { at, key, first, hang_up, .. } => self.opens.push(Open { at, key, first, hang_up }),
            Line::Opened { key, replica, status, id, .. } => self.opened.push(Opened { key, replica, status, id }),
            Line::Message { at, webhook_id, sha256, reference, status, dropped, reordered, copies, .. } => {
                self.messages.push(Message { at, webhook_id, sha256, reference, status, dropped, reordered, copies });
            }
            Line::Send { at, number, webhook_id, sha256, replica, forged, hang_up, folded } => {
                let sent = Sent { at, webhook_id, sha256, replica, forged, hang_up, folded };
                if self.sends.insert(number, sent).is_some() {
                    self.odd.push(format!("the history has two requests of number {number}"));
                }
            }
            Line::Answer { number, status, .. } => self.answers.push((number, status)),
            Line::Read { at, replica, id, version, state } => {
                self.reads.entry(id).or_default().push(Reading { at, replica, version, state });
            }
            Line::Unread { at, replica, status } => self.unread.push(Unread { at, replica, status }),
            Line::Event { reader, id, kind, opening, version, .. } => {
                self.told.entry(reader).or_default().push(Told { id, kind, opening, version });
            }
            Line::File(file) => {
                self.files.insert(file.number, file);
            }
            Line::Upload { file, report, .. } => self.uploads.push((file, report)),
            Line::Delivered { webhook_id, .. } => {
                self.delivered.insert(webhook_id);
            }
            Line::Restored { at, dumped_at, before, after } => {
                self.restored = Some(Restored { at, dumped_at, before, after });
            }
            Line::Fault { fault, evidence, .. } => self.faults.push((fault, evidence.is_some())),
        }
    }

    /// The openings that were acknowledged.
    pub fn acked_openings(&self) -> impl Iterator<Item = &Opened> {
        self.opened.iter().filter(|it| (200..300).contains(&it.status))
    }

    /// The requests with a message that were acknowledged, forgeries included.
    pub fn acked_sends(&self) -> impl Iterator<Item = &Sent> {
        let acked = self.answers.iter().filter(|(_, status)| (200..300).contains(status));
        acked.filter_map(|(number, _)| self.sends.get(number))
    }

    /// The keys under which openings were asked for.
    pub fn keys(&self) -> BTreeSet<&str> {
        self.opens.iter().map(|it| it.key.as_str()).collect()
    }

    /// The messages, by id and hash of the body.
    pub fn by_body(&self) -> HashMap<(&str, &str), &Message> {
        self.messages.iter().map(|it| ((it.webhook_id.as_str(), it.sha256.as_str()), it)).collect()
    }
}
