//! Exact sums of the rows of a file, and numbers for equal rows, in bounded memory.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{Code, HeaderError};
use super::fields::minor_digits;
use super::number::{MAX_AMOUNT_DECIMALS, canonical};

/// A sum of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// ISO 4217.
    pub currency: String,
    pub amount: Decimal,
}

/// Sums per currency. They are kept in millionths as integers: a decimal would round silently when its digits run out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<String, i128>);

impl Sums {
    pub fn add(&mut self, currency: &str, amount: Decimal) {
        let mut millionths = amount;
        millionths.rescale(SCALE);
        let sum = match self.0.get_mut(currency) {
            Some(sum) => sum,
            None => self.0.entry(currency.to_owned()).or_default(),
        };
        *sum = sum.saturating_add(millionths.mantissa());
    }

    #[must_use]
    pub fn of(&self, currency: &str) -> Decimal {
        decimal(currency, self.0.get(currency).copied().unwrap_or_default())
    }

    /// Whether both have the same sums. A currency that is missing has the sum 0.
    pub fn equal(&self, other: &Self) -> bool {
        let covers = |a: &Self, b: &Self| a.0.iter().all(|(currency, sum)| b.0.get(currency).unwrap_or(&0) == sum);
        covers(self, other) && covers(other, self)
    }

    pub fn list(&self) -> Vec<Sum> {
        self.0
            .iter()
            .map(|(currency, sum)| Sum { currency: currency.clone(), amount: decimal(currency, *sum) })
            .collect()
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sums: Vec<String> = self.list().iter().map(|it| format!("{}={}", it.currency, it.amount)).collect();
        f.write_str(if sums.is_empty() { "none" } else { "" })?;
        f.write_str(&sums.join(";"))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const SCALE: u32 = MAX_AMOUNT_DECIMALS as u32;

/// Beyond 28 digits a decimal cannot show the sum; it is shown as the largest one.
fn decimal(currency: &str, millionths: i128) -> Decimal {
    let beyond = if millionths < 0 { Decimal::MIN } else { Decimal::MAX };
    let sum = Decimal::try_from_i128_with_scale(millionths, SCALE).unwrap_or(beyond);
    canonical(sum, Currency::from_code(currency).map_or(0, minor_digits))
}

/// Distinct rows without an id of their own that a file may have: each takes some 20 bytes of memory.
const MAX_DISTINCT: usize = if cfg!(test) { 10_000 } else { 5_000_000 };

/// Numbers equal rows without an id of their own: two equal legitimate rows stay two, and a repeat of the file gives the same keys.
#[derive(Debug, Default)]
pub struct Occurrences(HashMap<[u8; 8], u32>);

impl Occurrences {
    /// The key of a row: a digest of its content, and its number among equal rows. None: the file has too many distinct rows.
    pub fn key<'a>(&mut self, parts: impl Iterator<Item = &'a str>) -> Option<String> {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let short = *digest.first_chunk::<8>().unwrap_or(&[0; 8]);
        let is_full = self.0.len() >= MAX_DISTINCT;
        let number = match self.0.entry(short) {
            Entry::Vacant(_) if is_full => return None,
            Entry::Vacant(entry) => *entry.insert(1),
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += 1;
                *entry.get()
            }
        };
        Some(format!("{}#{number}", hex::encode(&digest[..16])))
    }

    /// Why a file with too many distinct rows is not used.
    pub fn beyond(line: u64) -> HeaderError {
        let detail = format!("found more than {MAX_DISTINCT} different rows without an id; split the file");
        HeaderError::new(line, Code::TooManyRows, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_compared_by_value() {
        let mut sums = Sums::default();
        for _ in 0..10 {
            sums.add("EUR", "0.1".parse().unwrap());
        }
        sums.add("JPY", "999999999999999.999999".parse().unwrap());
        assert_eq!(sums.to_string(), "EUR=1.00;JPY=999999999999999.999999");
        let mut other = sums.clone();
        other.add("SEK", "5".parse().unwrap());
        assert!(!sums.equal(&other) && !other.equal(&sums));
        other.add("SEK", "-5.000".parse().unwrap());
        assert!(sums.equal(&other) && other.equal(&sums));
        assert_eq!(Sums::default().to_string(), "none");
    }

    #[test]
    fn equal_rows_have_different_keys_in_the_same_order() {
        let keys = || {
            let mut seen = Occurrences::default();
            [["a", "bc"], ["ab", "c"], ["a", "bc"]].map(|it| seen.key(it.into_iter()).unwrap())
        };
        let [first, other, second] = keys();
        assert_eq!(keys(), [first.clone(), other.clone(), second.clone()]);
        assert!(first.ends_with("#1") && second.ends_with("#2") && other.ends_with("#1") && first != other);
        assert_eq!(first[..32], second[..32]);
    }
}
