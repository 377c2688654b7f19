//! Makes ids and IBANs of the simulated world.
//!
//! All are derived from the seed, their purpose and a counter. So runs are reproducible, and two simulators with
//! different seeds never put the same id or IBAN into one database.

use sha2::{Digest, Sha256};

/// The bank code in BICs and in the IBANs of countries with letters there.
const BANK: &str = "NEXU";

/// 32 bytes that depend on the seed and on every part.
pub(super) fn derive(seed: u64, parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// An id such as `aor_5f0c…`, 24 hexadecimal digits long after its prefix.
pub(super) fn id(prefix: &str, seed: u64, parts: &[&str]) -> String {
    let bytes = derive(seed, parts);
    format!("{prefix}_{}", hex::encode(bytes.get(..12).unwrap_or(&bytes)))
}

/// The same id, extended to 255 characters.
pub(super) fn long(id: &str) -> String {
    let filling = hex::encode(Sha256::digest(id)).repeat(4);
    format!("{id}_{filling}").chars().take(255).collect()
}

/// The simulated bank's BIC in a country.
pub(super) fn bic(country: &str) -> String {
    format!("{BANK}{}BB", home(country).0)
}

/// A valid IBAN of the country; a German one for countries that the simulated bank does not serve.
pub(super) fn iban(country: &str, seed: u64, parts: &[&str]) -> String {
    let (country, length) = home(country);
    let mut digits = derive(seed, parts).into_iter().flat_map(|byte| [byte / 16 % 10, byte % 16 % 10]);
    let mut bban: String = match country {
        "NL" | "IE" | "GB" => BANK.to_owned(),
        // The check letter of an Italian account.
        "IT" => "X".to_owned(),
        _ => String::new(),
    };
    while bban.len() + 4 < length {
        bban.push(char::from(b'0' + digits.next().unwrap_or_default()));
    }
    if country == "BE" {
        bban = belgian(&bban);
    }
    let check = 98 - mod97(&format!("{bban}{country}00"));
    format!("{country}{check:02}{bban}")
}

/// The country and the length of its IBANs.
fn home(country: &str) -> (&'static str, usize) {
    const LENGTHS: [(&str, usize); 14] = [
        ("BE", 16),
        ("NL", 18),
        ("DE", 22),
        ("FR", 27),
        ("ES", 24),
        ("IT", 27),
        ("AT", 20),
        ("IE", 22),
        ("LU", 20),
        ("PT", 25),
        ("FI", 18),
        ("SE", 24),
        ("GB", 22),
        ("EE", 20),
    ];
    LENGTHS.into_iter().find(|(known, _)| *known == country).unwrap_or(("DE", 22))
}

/// A Belgian account number ends in two check digits: its first ten digits modulo 97, where 0 is written as 97.
fn belgian(digits: &str) -> String {
    let account = digits.get(..10).unwrap_or(digits);
    let check = match mod97(account) {
        0 => 97,
        check => check,
    };
    format!("{account}{check:02}")
}

/// ISO 7064 over digits and capital letters (A = 10 … Z = 35).
fn mod97(text: &str) -> u32 {
    text.chars().filter_map(|c| c.to_digit(36)).fold(0, |sum, value| {
        let shift = if value > 9 { 100 } else { 10 };
        (sum * shift + value) % 97
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibans_are_valid_in_every_country_and_foreign_ones_are_german() {
        for country in ["BE", "NL", "DE", "FR", "ES", "IT", "AT", "IE", "LU", "PT", "FI", "SE", "GB", "EE"] {
            for n in 0..500 {
                let made = iban(country, n, &["opening"]);
                let parsed: iban::Iban = made.parse().unwrap_or_else(|e| panic!("{made}: {e}"));
                assert_eq!(iban::IbanLike::country_code(&parsed), country);
            }
        }
        assert!(iban("JP", 1, &[]).starts_with("DE"));
    }

    #[test]
    fn the_published_belgian_example_has_the_check_digits_we_compute() {
        assert_eq!(belgian("5390075470"), "539007547034");
        assert_eq!(98 - mod97("539007547034BE00"), 68);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(derive(1, &["ab", "c"]), derive(1, &["a", "bc"]));
    }
}
