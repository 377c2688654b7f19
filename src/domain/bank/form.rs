//! The form of each country's national account number (BBAN), as the SWIFT registry of IBANs gives it.
//!
//! One table serves both the check and the generator, so generated sandbox IBANs pass the check. A test compares the
//! table with the formats that the `iban_validate` crate took from the registry.

use Kind::{A, C, N};

/// The character class of a position, in the registry's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A capital letter.
    A,
    /// A digit.
    N,
    /// A capital letter or a digit.
    C,
}

impl Kind {
    const fn takes(self, byte: u8) -> bool {
        match self {
            Self::A => byte.is_ascii_uppercase(),
            Self::N => byte.is_ascii_digit(),
            Self::C => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        }
    }
}

/// Runs of positions of the same kind.
type Form = &'static [(usize, Kind)];

/// The kind of each position of a country's account numbers. None: the registry does not list the country.
pub(super) fn places(country: &str) -> Option<impl Iterator<Item = Kind> + use<>> {
    form(country).map(|runs| runs.iter().flat_map(|(count, kind)| std::iter::repeat_n(*kind, *count)))
}

/// Whether an account number has its country's length and characters. None: the registry does not list the country.
pub(super) fn fits(country: &str, number: &str) -> Option<bool> {
    let mut bytes = number.bytes();
    let fits = places(country)?.all(|kind| bytes.next().is_some_and(|byte| kind.takes(byte)));
    Some(fits && bytes.next().is_none())
}

fn form(country: &str) -> Option<Form> {
    Some(match country {
        "NO" => &[(11, N)],
        "BE" => &[(12, N)],
        "FK" => &[(2, A), (12, N)],
        "NL" => &[(4, A), (10, N)],
        "DK" | "FI" | "FO" | "GL" | "SD" => &[(14, N)],
        "MK" => &[(3, N), (10, C), (2, N)],
        "SI" => &[(15, N)],
        "KZ" | "LU" => &[(3, N), (13, C)],
        "AT" | "BA" | "EE" | "LT" | "MN" | "XK" => &[(16, N)],
        "LV" => &[(4, A), (13, C)],
        "CH" | "LI" => &[(5, N), (12, C)],
        "HR" => &[(17, N)],
        "GE" => &[(2, A), (16, N)],
        "BG" => &[(4, A), (6, N), (8, C)],
        "BH" => &[(4, A), (14, C)],
        "GB" | "IE" => &[(4, A), (14, N)],
        "CR" | "DE" | "ME" | "RS" | "VA" => &[(18, N)],
        "OM" => &[(3, N), (16, C)],
        "GI" => &[(4, A), (15, C)],
        "IQ" => &[(4, A), (15, N)],
        "AE" | "IL" | "SO" | "TL" => &[(19, N)],
        "SA" => &[(2, N), (18, C)],
        "PK" | "RO" => &[(4, A), (16, C)],
        "VG" => &[(4, A), (16, N)],
        "AD" => &[(8, N), (12, C)],
        "MD" => &[(20, C)],
        "CZ" | "ES" | "SE" | "SK" | "TN" => &[(20, N)],
        "LY" | "PT" | "ST" => &[(21, N)],
        "TR" => &[(6, N), (16, C)],
        "IS" => &[(22, N)],
        "IT" | "SM" => &[(1, A), (10, N), (12, C)],
        "GR" => &[(7, N), (16, C)],
        "FR" | "MC" => &[(10, N), (11, C), (2, N)],
        "BI" | "DJ" | "MR" => &[(23, N)],
        "AZ" => &[(4, A), (20, C)],
        "HN" | "NI" | "SV" => &[(4, A), (20, N)],
        "BY" => &[(4, C), (4, N), (16, C)],
        "DO" => &[(4, C), (20, N)],
        "LB" => &[(4, N), (20, C)],
        "AL" | "CY" => &[(8, N), (16, C)],
        "GT" => &[(24, C)],
        "HU" | "PL" => &[(24, N)],
        "PS" | "QA" => &[(4, A), (21, C)],
        "UA" => &[(6, N), (19, C)],
        "BR" => &[(23, N), (1, A), (1, C)],
        "EG" => &[(25, N)],
        "JO" | "YE" => &[(4, A), (4, N), (18, C)],
        "MU" => &[(4, A), (19, N), (3, A)],
        "KW" => &[(4, A), (22, C)],
        "MT" => &[(4, A), (5, N), (18, C)],
        "SC" => &[(4, A), (20, N), (3, A)],
        "LC" => &[(4, A), (24, C)],
        "RU" => &[(14, N), (15, C)],
        _ => return None,
    })
}
