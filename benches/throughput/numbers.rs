//! The values of opening number n that are known without a look-up, the same here and in `limit.sql`.
//!
//! Ids rise with n, as real ones do with time; tracking ids and IBANs do not, as real ones do not.

use account_opening::clock::Time;
use account_opening::domain::bank::made_up_iban;
use chrono::{DateTime, TimeDelta};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// 2025-01-01: number n is so many milliseconds younger.
pub const EPOCH_MS: u64 = 1_735_689_600_000;
/// Coprime with [`ACCOUNTS`]: no two numbers below that have the same account.
pub const STRIDE: u64 = 3_141_592_653;
/// The shortest account numbers (the Netherlands') have ten digits.
pub const ACCOUNTS: u64 = 10_000_000_000;

const MARKETS: [&str; 5] = ["BE", "NL", "DE", "FR", "ES"];

/// Which table an id is for. (2 is `limit.sql`'s outbox.)
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Opening = 0,
    Fact = 1,
    /// A fact of an earlier step, which has left the inbox.
    Earlier = 3,
}

/// A `UUIDv7` whose time and random bits are both n.
pub fn id(kind: Kind, n: u64) -> Uuid {
    let time = u128::from(EPOCH_MS + n) << 80;
    Uuid::from_u128(time | 0x7 << 76 | (kind as u128) << 64 | 0b10 << 62 | u128::from(n))
}

/// When it was started.
pub fn created(n: u64) -> Time {
    let micros = i64::try_from((EPOCH_MS + n) * 1_000).expect("a time of this century");
    DateTime::from_timestamp_micros(micros).expect("a time of this century") - TimeDelta::seconds(60)
}

pub fn market(n: u64) -> &'static str {
    MARKETS[usize::try_from(n % 5).unwrap_or_default()]
}

/// The tracking id.
pub fn reference(n: u64) -> String {
    format!("aor_{}", hex::encode(&Sha256::digest(n.to_string())[..12]))
}

pub fn iban(n: u64) -> String {
    made_up_iban(market(n), u128::from(n * STRIDE % ACCOUNTS)).as_str().to_owned()
}

pub fn bic(n: u64) -> String {
    format!("NEXU{}BB", market(n))
}
