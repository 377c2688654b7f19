//! IBAN and BIC: parsing, checking and masking. Only checked values are saved as an account.

mod form;

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat};

use super::text::{self, form};

use self::form::Kind;

/// An IBAN (ISO 13616) in electronic form, checked against its country's account format and its computed check digits.
/// Other check digits can pass mod 97 too (`99` for `02`) and would be a second spelling of the same account.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Iban(String);

/// A business identifier code (ISO 9362): 8 or 11 characters, an existing country in the middle.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Bic(String);

/// Why a text was refused as an IBAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IbanError {
    /// The check digits differ from the computed ones.
    #[error("not an IBAN: wrong check digits")]
    Checksum,
    /// The SWIFT registry lists no IBANs for the country.
    #[error("not an IBAN: unknown country")]
    Country,
    /// Length or characters of the account number differ from the country's format.
    #[error("not an IBAN: wrong length or characters for its country")]
    Form,
}

form!(Iban, iban_form());
form!(Bic, bic_form());

/// Describes the electronic form. A pattern cannot express the check digits, so the format `iban` stands for them.
fn iban_form() -> ObjectBuilder {
    text::matching("[A-Z]{2}[0-9]{2}[A-Z0-9]{11,29}")
        .format(Some(SchemaFormat::Custom("iban".to_owned())))
        .examples(["BE68539007547034"])
}

/// Describes the form in capitals, with the countries that [`Bic::parse`] accepts.
fn bic_form() -> ObjectBuilder {
    let countries = text::codes(2, |code| Bic::parse(&format!("BANK{code}AA")).is_ok()).join("|");
    text::matching(&format!("[A-Z0-9]{{4}}({countries})[A-Z0-9]{{2}}([A-Z0-9]{{3}})?")).examples(["NEXUBEBB"])
}

impl Iban {
    /// Parses an IBAN in electronic or printed form (white space, small letters).
    ///
    /// # Errors
    /// If the text is not a valid IBAN.
    pub fn parse(text: &str) -> Result<Self, IbanError> {
        let plain = compact(text);
        let country = plain.get(..2).ok_or(IbanError::Country)?;
        let (check, number) = (plain.get(2..4).unwrap_or_default(), plain.get(4..).unwrap_or_default());
        match form::fits(country, number) {
            None => Err(IbanError::Country),
            Some(false) => Err(IbanError::Form),
            Some(true) if check != check_digits(country, number) => Err(IbanError::Checksum),
            Some(true) => Ok(Self(plain)),
        }
    }

    /// The IBAN in electronic form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first and last four characters, for logs.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

/// Whether accounts of a country have IBANs, by the SWIFT registry.
#[must_use]
pub fn has_ibans(country: &str) -> bool {
    form::places(country).is_some()
}

impl Bic {
    /// Parses a BIC (white space, any case).
    ///
    /// # Errors
    /// If the text is not a valid BIC.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = compact(text);
        let alphanumeric = plain.bytes().all(|b| b.is_ascii_alphanumeric());
        if !alphanumeric || !matches!(plain.len(), 8 | 11) {
            return Err("not a BIC: 8 or 11 letters and digits");
        }
        match celes::Country::from_alpha2(&plain[4..6]) {
            Ok(_) => Ok(Self(plain)),
            // Kosovo's user-assigned code, which SWIFT uses and ISO 3166 does not list.
            Err(_) if &plain[4..6] == "XK" => Ok(Self(plain)),
            Err(_) => Err("not a BIC: unknown country"),
        }
    }

    /// Whether both name the same bank. The branch is ignored: `XXX` (head office) may be left out.
    #[must_use]
    pub fn same_bank(&self, other: &Self) -> bool {
        self.bank() == other.bank()
    }

    /// The first eight characters: the bank without its branch.
    #[must_use]
    pub fn bank(&self) -> &str {
        &self.0[..8]
    }

    /// The BIC in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Iban {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Iban({})", self.masked())
    }
}

impl std::fmt::Debug for Bic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bic({})", self.0)
    }
}

/// Keeps the first and last four characters; values shorter than 12 characters are hidden completely.
#[must_use]
pub fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < 12 {
        return "…".to_owned();
    }
    let (head, tail) = (&chars[..4], &chars[chars.len() - 4..]);
    format!("{}…{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

/// Normalises an IBAN or a BIC for checks and comparisons: capitals, no white space. Zero-width characters (U+200B,
/// U+FEFF, direction marks) are removed too: copied text carries them, and Unicode does not count them as white space.
#[must_use]
pub fn compact(text: &str) -> String {
    let blank = |c: char| {
        let without_width =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        c.is_whitespace() || without_width
    };
    text.chars().filter(|c| !blank(*c)).map(|c| c.to_ascii_uppercase()).collect()
}

/// Generates a valid IBAN of `country` from `seed`; the same seed gives the same IBAN. Sandbox only: neither bank nor
/// account exists. A country without IBANs gets a Belgian one.
#[must_use]
pub fn made_up_iban(country: &str, seed: u128) -> Iban {
    let country = if form::places(country).is_some() { country } else { "BE" };
    let places: Vec<Kind> = form::places(country).into_iter().flatten().collect();
    let digits = places.iter().filter(|kind| **kind != Kind::A).count();
    let seed = format!("{seed:039}");
    let (mut letters, mut digits) = ("NEXU".chars().cycle(), seed.chars().skip(seed.len() - digits));
    let number: String =
        places.iter().filter_map(|kind| if *kind == Kind::A { letters.next() } else { digits.next() }).collect();
    Iban(format!("{country}{}{number}", check_digits(country, &number)))
}

/// `02` to `98` (ISO 7064, mod 97-10).
fn check_digits(country: &str, number: &str) -> String {
    format!("{:02}", 98 - mod_97(&format!("{number}{country}00")))
}

fn mod_97(text: &str) -> u32 {
    text.chars()
        .filter_map(|c| c.to_digit(36))
        .fold(0, |sum, value| if value < 10 { (sum * 10 + value) % 97 } else { (sum * 100 + value) % 97 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibans_from_vendor_documents_pass_or_fail_as_their_checksum_says() {
        // providers.md, consequence 8: sample values of provider documentation.
        for bad in [
            "NL11ADYB00000000",
            "FR7621733712350230000110741",
            "GB00CUBK22002243218765",
            "GB00CUBK22002265781234",
            "DE87110101001000057123",
            "DE12345678900122",
            "",
            "BE",
            "BE68\u{0}539007547034",
            "ÄÖ68539007547034",
        ] {
            assert!(Iban::parse(bad).is_err(), "{bad}");
        }
        for good in [
            "DE49110101013998767672",
            "DE76110101001100000999",
            "NL20ADYB2017000035",
            "DE20100190002300001206",
            "GB68ADYX04295720010731",
            "GB06MODR00000003345102",
            "FR7699999001007663023512982",
            "BE68539007547034",
            "BE68 5390 0754 7034",
            "be68539007547034",
        ] {
            assert!(Iban::parse(good).is_ok(), "{good}");
        }
        assert_eq!(
            Iban::parse("BE68 5390 0754 7034").map(|i| i.as_str().to_owned()),
            Ok("BE68539007547034".to_owned())
        );
    }

    #[test]
    fn a_country_has_one_length() {
        // The checksum is right; the length is not Belgium's.
        for number in ["5390075470341", "53900754703"] {
            let other = format!("BE{}{number}", check_digits("BE", number));
            assert_eq!(Iban::parse(&other), Err(IbanError::Form));
        }
        let nowhere = format!("US{}539007547034", check_digits("US", "539007547034"));
        assert_eq!(Iban::parse(&nowhere), Err(IbanError::Country));
    }

    /// ISO 3166, and Kosovo.
    fn countries() -> impl Iterator<Item = &'static str> {
        celes::Country::get_countries().into_iter().map(|it| it.alpha2)
    }

    /// `iban_validate` lacks two countries; their formats are checked with the registry's examples.
    #[test]
    fn a_countrys_form_is_the_registrys() {
        let mut known = 0;
        for country in countries() {
            let made_up = made_up_iban(country, u128::MAX);
            if !made_up.as_str().starts_with(country) {
                continue;
            }
            known += 1;
            let Ok(full) = made_up.as_str().parse::<iban::Iban>() else {
                assert!(["HN", "PK"].contains(&country), "{made_up:?}");
                continue;
            };
            // Each position accepts exactly the characters that the crate accepts.
            let bban = full.bban();
            for (at, other) in (0..bban.len()).flat_map(|at| ["A", "Z", "0"].map(|other| (at, other))) {
                let number = format!("{}{other}{}", &bban[..at], &bban[at + 1..]);
                let text = format!("{country}{}{number}", check_digits(country, &number));
                assert_eq!(Iban::parse(&text).is_ok(), text.parse::<iban::Iban>().is_ok(), "{text}");
            }
        }
        assert_eq!(known, 89);
        for example in ["HN88CABF00000000000250005469", "PK36SCBL0000001123456702", "XK051212012345678906"] {
            assert!(Iban::parse(example).is_ok(), "{example}");
        }
    }

    proptest::proptest! {
        /// F14: for any opening id.
        #[test]
        fn made_up_ibans_are_valid_and_a_function_of_their_seed(seed in proptest::prelude::any::<u128>()) {
            for country in countries() {
                let iban = made_up_iban(country, seed);
                assert_eq!(Iban::parse(iban.as_str()).as_ref(), Ok(&iban), "{country}");
                assert_eq!(made_up_iban(country, seed), iban);
            }
            assert_ne!(made_up_iban("BE", seed), made_up_iban("BE", seed ^ 1));
        }
    }

    /// F5, F6, F13.
    #[test]
    fn an_iban_has_the_check_digits_that_are_computed_and_its_countrys_form() {
        for bad in ["BE99714307121340", "BE57ABCDEFGHIJKL", "GB89NEXU20201530093A59", "BE00714307121340"] {
            assert!(Iban::parse(bad).is_err(), "{bad}");
        }
        for good in ["BE02714307121340", "BE68\u{a0}5390\u{2009}0754\t7034\r\n", "\u{feff}BE6853900754\u{200b}7034"] {
            assert!(Iban::parse(good).is_ok(), "{good:?}");
        }
        assert!(Bic::parse("NEXU\u{a0}BE BB\n").is_ok());
    }

    #[test]
    fn a_value_of_the_described_form_is_taken() {
        let (iban, bic) = (text::form_of::<Iban>(), text::form_of::<Bic>());
        for country in celes::Country::get_countries() {
            assert!(iban(made_up_iban(country.alpha2, 7).as_str()), "{country}");
        }
        assert!(
            !iban("BE68 5390 0754 7034") && !iban("be68539007547034"),
            "the printed form is taken, and not described"
        );
        for text in
            ["NEXUBEBB", "NEXUXKBB", "NEXUBEBB500", "12345678", "1234BE78", "NEXUXXBB", "NEXUBEB", "NEXUBEBB5", ""]
        {
            assert_eq!(bic(text), Bic::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn bics_have_a_country() {
        for good in ["NEXUBEBB", "nexubebb", "DEUTDEFF500"] {
            assert!(Bic::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "NEXUBEB", "NEXUXXBB", "NEXUBEBB1", "NEXÜBEB", "NEXU-EBB"] {
            assert!(Bic::parse(bad).is_err(), "{bad}");
        }
    }
}
