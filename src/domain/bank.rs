//! IBAN and BIC: what may be saved as an account.

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat};

use super::text::{self, form};

/// An IBAN whose length is its country's and whose checksum (ISO 13616, mod 97) is right, in electronic form.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Iban(String);

/// A business identifier code (ISO 9362): 8 or 11 characters, an existing country in the middle.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Bic(String);

/// Why a text is no IBAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IbanError {
    /// Not of the form, or the checksum is wrong.
    #[error("not an IBAN: form or checksum (mod 97) is wrong")]
    Checksum,
    /// The country has no IBANs that we know.
    #[error("not an IBAN: the registry has no such country")]
    Country,
    /// The country's IBANs have another length.
    #[error("not an IBAN: wrong length for its country")]
    Length,
}

form!(Iban, iban_form());
form!(Bic, bic_form());

/// Electronic form. No pattern can say which check digits are right: the format `iban` stands for that.
fn iban_form() -> ObjectBuilder {
    text::matching("[A-Z]{2}[0-9]{2}[A-Z0-9]{11,29}")
        .format(Some(SchemaFormat::Custom("iban".to_owned())))
        .examples(["BE68539007547034"])
}

/// In capitals, with the countries that [`Bic::parse`] knows.
fn bic_form() -> ObjectBuilder {
    let countries = text::codes(2, |code| Bic::parse(&format!("BANK{code}AA")).is_ok()).join("|");
    text::matching(&format!("[A-Z0-9]{{4}}({countries})[A-Z0-9]{{2}}([A-Z0-9]{{3}})?")).examples(["NEXUBEBB"])
}

impl Iban {
    /// Takes an IBAN in electronic or printed form (spaces, small letters).
    ///
    /// # Errors
    /// When it is none; such a value is never saved.
    pub fn parse(text: &str) -> Result<Self, IbanError> {
        let plain: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()).collect();
        let base: iban::BaseIban = plain.parse().map_err(|_| IbanError::Checksum)?;
        let country = plain.get(..2).ok_or(IbanError::Checksum)?;
        match iban_length(country) {
            None => Err(IbanError::Country),
            Some(length) if length != plain.len() => Err(IbanError::Length),
            Some(_) => Ok(Self(iban::IbanLike::electronic_str(&base).to_owned())),
        }
    }

    /// The electronic form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first and last four characters: what may stand in a log.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

impl Bic {
    /// Takes a BIC (any case).
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = text.trim().to_ascii_uppercase();
        let alphanumeric = plain.bytes().all(|b| b.is_ascii_alphanumeric());
        if !alphanumeric || !matches!(plain.len(), 8 | 11) {
            return Err("not a BIC: 8 or 11 letters and digits");
        }
        match celes::Country::from_alpha2(&plain[4..6]) {
            Ok(_) => Ok(Self(plain)),
            // Kosovo's user-assigned code, which SWIFT uses and ISO 3166 does not list.
            Err(_) if &plain[4..6] == "XK" => Ok(Self(plain)),
            Err(_) => Err("not a BIC: no such country"),
        }
    }

    /// Whether both name the same bank: the branch, and `XXX` for the head office, may be left out.
    #[must_use]
    pub fn same_bank(&self, other: &Self) -> bool {
        self.bank() == other.bank()
    }

    /// The first eight characters: the bank without its branch.
    #[must_use]
    pub fn bank(&self) -> &str {
        &self.0[..8]
    }

    /// The code in capitals.
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

/// First four and last four characters; short values are hidden whole.
#[must_use]
pub fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < 12 {
        return "…".to_owned();
    }
    let (head, tail) = (&chars[..4], &chars[chars.len() - 4..]);
    format!("{}…{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

/// Length of a country's IBANs, from the SWIFT IBAN registry.
fn iban_length(country: &str) -> Option<usize> {
    Some(match country {
        "NO" => 15,
        "BE" => 16,
        "DK" | "FK" | "FI" | "FO" | "GL" | "NL" | "SD" => 18,
        "MK" | "SI" => 19,
        "AT" | "BA" | "EE" | "KZ" | "LT" | "LU" | "MN" | "XK" => 20,
        "CH" | "HR" | "LI" | "LV" => 21,
        "BG" | "BH" | "CR" | "DE" | "GB" | "GE" | "IE" | "ME" | "RS" | "VA" => 22,
        "AE" | "GI" | "IL" | "IQ" | "OM" | "SO" | "TL" => 23,
        "AD" | "CZ" | "ES" | "MD" | "PK" | "RO" | "SA" | "SE" | "SK" | "TN" | "VG" => 24,
        "LY" | "PT" | "ST" => 25,
        "IS" | "TR" => 26,
        "BI" | "DJ" | "FR" | "GR" | "IT" | "MC" | "MR" | "SM" => 27,
        "AL" | "AZ" | "BY" | "CY" | "DO" | "GT" | "HN" | "HU" | "LB" | "NI" | "PL" | "SV" => 28,
        "BR" | "EG" | "PS" | "QA" | "UA" => 29,
        "JO" | "KW" | "MU" | "YE" => 30,
        "MT" | "SC" => 31,
        "LC" => 32,
        "RU" => 33,
        _ => return None,
    })
}

/// A valid IBAN of `country` made from `seed`: the same seed gives the same IBAN. For the sandbox only: the bank and the
/// account behind it do not exist. A country without IBANs gets a Belgian one.
#[must_use]
pub fn made_up_iban(country: &str, seed: u128) -> Iban {
    let (country, length) = iban_length(country).map_or(("BE", 16), |length| (country, length));
    // The registry's structures start with a bank code of capital letters in these countries, of digits elsewhere.
    let letters = match country {
        "NL" | "GB" | "IE" | "BG" | "RO" | "LV" | "GI" | "MT" | "PK" | "SV" | "AZ" | "VG" | "DO" | "GT" | "KW"
        | "JO" | "MU" | "LC" | "SC" | "PS" | "QA" | "BH" => "NEXU",
        "IT" | "SM" => "X",
        _ => "",
    };
    let digits = length - 4 - letters.len();
    let number = format!("{seed:039}");
    let bban = format!("{letters}{}", &number[number.len() - digits..]);
    let text = format!("{country}{:02}{bban}", 98 - mod_97(&format!("{bban}{country}00")));
    Iban(text)
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
        // The checksum is right, the length is not Belgium's.
        let long = format!("BE{:02}5390075470341", 98 - mod_97("5390075470341BE00"));
        assert_eq!(Iban::parse(&long), Err(IbanError::Length));
        let nowhere = format!("US{:02}539007547034", 98 - mod_97("539007547034US00"));
        assert_eq!(Iban::parse(&nowhere), Err(IbanError::Country));
    }

    #[test]
    fn made_up_ibans_are_valid_where_a_country_has_ibans() {
        for country in celes::Country::get_countries() {
            for seed in [0, 1, u128::MAX, 42 << 70] {
                let iban = made_up_iban(country.alpha2, seed);
                assert_eq!(Iban::parse(iban.as_str()).as_ref(), Ok(&iban), "{country}");
                let full: Result<iban::Iban, _> = iban.as_str().parse();
                let known = ["BE", "NL", "DE", "FR", "ES", "IT", "GB", "IE", "AT", "LU", "PT", "FI", "PL"];
                assert!(full.is_ok() || !known.contains(&country.alpha2), "{iban:?}: {full:?}");
            }
        }
        assert_ne!(made_up_iban("BE", 1), made_up_iban("BE", 2));
    }

    #[test]
    fn what_keeps_to_the_described_form_is_taken() {
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
