//! Ids, IBANs and BICs of the outside world. An IBAN is unique in its run and valid in the opening's market: it is
//! derived from the opening's number and the account's index.

use sha2::{Digest, Sha256};

/// The number of account numbers: ten digits.
const NUMBERS: u64 = 10_000_000_000;
/// Numbers reserved for the first account of each opening; the next accounts follow above.
const OPENINGS: u64 = 100_000_000;
/// Coprime to ten, so that neighbours get distant numbers and no two get the same.
const STRIDE: u64 = 2_718_281_829;
/// The index of nonexistent accounts, used in forgeries.
pub const STRANGER: u64 = 99;

/// An id such as `prf_5f0c…`: the same for the same seed, opening and number.
pub fn id(prefix: &str, seed: u64, reference: &str, number: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(number.to_be_bytes());
    hash.update(prefix);
    hash.update(reference);
    format!("{prefix}_{}", hex::encode(hash.finalize().get(..12).unwrap_or_default()))
}

/// The documented maximum length of ids.
pub const LONGEST: usize = 255;

/// Extends an id to the maximum length.
pub fn long(id: &str) -> String {
    let filling = hex::encode(Sha256::digest(id)).repeat(4);
    format!("{id}_{filling}").chars().take(LONGEST).collect()
}

/// The number of an opening: the digits at the end of its customer's reference, or a derived one.
pub fn number(customer_reference: &str) -> u64 {
    let stated = customer_reference.rsplit('-').next().and_then(|it| it.parse().ok());
    let made = || {
        let hash = Sha256::digest(customer_reference);
        hash.iter().take(7).fold(0, |sum, byte| sum * 256 + u64::from(*byte)) % (OPENINGS / 2) + OPENINGS / 2
    };
    stated.filter(|it| *it < OPENINGS / 2).unwrap_or_else(made)
}

/// The bank's BIC in a market.
pub fn bic(market: &str) -> String {
    format!("NEXU{}BB", country(market))
}

/// A valid IBAN of the market (of Germany for unserved markets) for the opening's account at index `place`.
pub fn iban(market: &str, opening: u64, place: u64) -> String {
    let plain = (place * OPENINGS + opening) % NUMBERS;
    let account = u64::try_from(u128::from(plain) * u128::from(STRIDE) % u128::from(NUMBERS)).unwrap_or_default();
    let country = country(market);
    let bban = match country {
        "BE" => format!("{account:010}{:02}", belgian(account)),
        "NL" => format!("NEXU{account:010}"),
        _ => format!("50010517{account:010}"),
    };
    let check = 98 - mod97(&format!("{bban}{country}00"));
    format!("{country}{check:02}{bban}")
}

fn country(market: &str) -> &'static str {
    match market {
        "BE" => "BE",
        "NL" => "NL",
        _ => "DE",
    }
}

/// The two check digits of a Belgian account number: its first ten digits modulo 97, where 0 is written as 97.
fn belgian(account: u64) -> u64 {
    if account.is_multiple_of(97) { 97 } else { account % 97 }
}

/// ISO 7064, modulo 97, over digits and capital letters (A = 10 … Z = 35).
fn mod97(text: &str) -> u32 {
    text.chars().filter_map(|it| it.to_digit(36)).fold(0, |rest, value| {
        let shift = if value > 9 { 100 } else { 10 };
        (rest * shift + value) % 97
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use iban::IbanLike as _;

    use super::*;

    #[test]
    fn ibans_are_valid_of_their_market_and_unique() {
        let mut seen = HashSet::new();
        for (at, market) in ["BE", "NL", "DE"].into_iter().enumerate() {
            for n in 0..3_000 {
                let opening = n * 3 + u64::try_from(at).unwrap();
                for place in [0, 1, STRANGER] {
                    let made = iban(market, opening, place);
                    let parsed: iban::Iban = made.parse().unwrap_or_else(|error| panic!("{made}: {error}"));
                    assert_eq!(parsed.country_code(), market);
                    assert!(seen.insert(made));
                }
            }
        }
    }

    #[test]
    fn the_published_belgian_example_has_these_check_digits() {
        assert_eq!(belgian(5_390_075_470), 34);
        assert_eq!(98 - mod97("539007547034BE00"), 68);
    }

    #[test]
    fn a_long_id_is_as_long_as_any_and_still_its_own() {
        assert_eq!(long(&id("aor", 1, "a", 0)).len(), LONGEST);
        assert_ne!(long(&id("aor", 1, "a", 0)), long(&id("aor", 1, "b", 0)));
    }

    #[test]
    fn an_opening_has_the_number_at_the_end_of_its_customers_reference() {
        assert_eq!(number("c-42-17"), 17);
        assert!(number("somebody") >= OPENINGS / 2 && number("somebody") < OPENINGS);
    }
}
