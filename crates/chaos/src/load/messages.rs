//! The bank's messages: those of its scripts and, at the planned rate, further progress about any request, even a
//! decided one.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::courier::{Courier, Letter};
use super::fate::{self, Fate, Fold, Forgery};
use super::pace::Pace;
use super::run::{Run, count};
use crate::files::now;
use crate::provider::{Bank, Deck, STRANGER, Secret, Word, bic, iban, rng};
use crate::record::Seen;

pub struct Messages {
    run: Arc<Run>,
    pace: Pace,
    made: u64,
    fates: Deck<Fate>,
    rng: StdRng,
    bank: Secret,
    forger: Secret,
}

impl Messages {
    pub fn new(run: Arc<Run>, now: Instant) -> anyhow::Result<Self> {
        let seed = run.config.seed;
        Ok(Self {
            pace: Pace::new(run.config.messages_per_second, now),
            made: 0,
            fates: fate::deck(seed, run.config.many_hang_up),
            rng: rng(seed, "messages", 0),
            bank: run.config.bank.key(&run.config.webhook_secret)?,
            forger: Secret::wrong()?,
            run,
        })
    }

    /// Sends what the bank has said, and what is due beside it.
    pub fn tick(&mut self, now: Instant, words: &mut UnboundedReceiver<Word>) {
        self.pace.tick(now);
        while let Ok(word) = words.try_recv() {
            self.pace.send();
            self.say(&word);
        }
        while self.pace.is_due() {
            let Some(word) = self.more() else { return };
            self.pace.send();
            self.say(&word);
        }
    }

    /// Progress about any request.
    fn more(&mut self) -> Option<Word> {
        let mut word = self.run.world.any_request(&mut self.rng)?;
        word.status = if self.rng.random_bool(0.8) { "IN_PROGRESS" } else { "INITIATED" };
        (word.iban, word.bic, word.rejection_reason) = (None, None, None);
        Some(word)
    }

    /// Makes a message of what the bank says, and hands it to its courier.
    pub fn say(&mut self, word: &Word) {
        let seed = self.run.config.seed;
        let number = self.made;
        self.made += 1;
        let fate = self.fates.deal().unwrap_or_default();
        let letter = Letter::new(self.run.config.bank, format!("msg-{seed}-{number}"), word, self.bank.clone());
        let fold = if self.run.config.bank.may_repeat_its_header() { fate.fold } else { Fold::None };
        let letter = Letter { fold, ..letter };
        self.run.history.record(&Seen::Message {
            at: now(),
            webhook_id: letter.webhook_id.clone(),
            sha256: letter.sha256.clone(),
            reference: word.reference.clone(),
            tracking_id: word.tracking_id.clone(),
            status: word.status.to_owned(),
            dropped: fate.dropped,
            reordered: fate.reordered,
            copies: fate.copies.count,
        });
        count(&self.run.counts.messages);
        if fate.dropped {
            return;
        }
        let lie = fate.forgery.map(|it| self.lie(word, it, &letter.webhook_id, number));
        let courier = Courier { run: Arc::clone(&self.run), rng: rng(seed, "courier", number), fate };
        self.run.spawn(courier.deliver(letter, lie));
    }

    /// An account for the customer that is a stranger's.
    fn lie(&self, word: &Word, forgery: Forgery, webhook_id: &str, number: u64) -> Letter {
        let lie = Word {
            status: "COMPLETED",
            iban: Some(iban(&word.market, number, STRANGER)),
            bic: Some(bic(&word.market)),
            rejection_reason: None,
            ..word.clone()
        };
        let webhook_id = match forgery {
            Forgery::SameId => webhook_id.to_owned(),
            Forgery::OwnId => format!("{webhook_id}-forged"),
        };
        Letter { forged: true, ..Letter::new(self.run.config.bank, webhook_id, &lie, self.forger.clone()) }
    }
}

impl Letter {
    fn new(bank: Bank, id: String, word: &Word, secret: Secret) -> Self {
        let body = bank.body(&id, word);
        let sha256 = hex::encode(Sha256::digest(&body));
        let webhook_id = bank.id_of(id, &sha256);
        Self { webhook_id, sha256, body, secret, forged: false, fold: Fold::None }
    }
}
