//! HMAC-SHA256 over raw bytes: the scheme of most banks, which differ in header, key, prefix and encoding.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Fingerprint;
use crate::provider::VerifyError;

/// More header lines than a rotation needs; each is compared with every key.
const MAX_LINES: usize = 16;

/// Some senders omit the padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a signature is written.
#[derive(Clone, Copy, Debug)]
pub enum Encoding {
    /// Hexadecimal, of any case.
    Hex,
    /// Base64, with or without padding.
    Base64,
}

/// A bank's scheme.
#[derive(Clone, Copy, Debug)]
pub struct RawHmac {
    /// The header with the signature, in lower case.
    pub header: &'static str,
    /// The text before the signature in the header.
    pub prefix: &'static str,
    /// How the signature is written.
    pub encoding: Encoding,
}

/// A key shared with the sender.
#[derive(Clone)]
pub struct RawKey {
    key: Hmac<Sha256>,
    fingerprint: Fingerprint,
}

impl RawKey {
    /// A key that is the whole text, a prefix such as `whsec_` included.
    ///
    /// # Errors
    /// The problem, without the value.
    pub fn of_text(text: &str) -> Result<Self, String> {
        crate::settings::header_text(text)?;
        Self::new(text.as_bytes(), text)
    }

    /// A key in hexadecimal.
    ///
    /// # Errors
    /// The problem, without the value.
    pub fn of_hex(text: &str) -> Result<Self, String> {
        let key = hex::decode(text).map_err(|_| "a key is not hexadecimal")?;
        if key.is_empty() { Err("a key is empty".to_owned()) } else { Self::new(&key, text) }
    }

    fn new(key: &[u8], text: &str) -> Result<Self, String> {
        let key = Hmac::new_from_slice(key).map_err(|_| "a secret cannot be a key".to_owned())?;
        Ok(Self { key, fingerprint: Fingerprint::of(text) })
    }

    /// The key's fingerprint, for logs and the API.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl std::fmt::Debug for RawKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawKey(…)")
    }
}

impl RawHmac {
    /// Verifies that one of `keys` signed the concatenation of `parts`; the key's index. Any line of the header may hold the
    /// signature: a further line cannot make a wrong one match.
    ///
    /// # Errors
    /// Why the signature was refused.
    pub fn verify(&self, keys: &[RawKey], headers: &HeaderMap, parts: &[&[u8]]) -> Result<usize, VerifyError> {
        let lines = headers.get_all(self.header).iter().map(HeaderValue::as_bytes).map(<[u8]>::trim_ascii);
        let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).take(MAX_LINES).collect();
        if lines.is_empty() {
            return Err(VerifyError::Missing);
        }
        let signatures: Vec<Vec<u8>> = lines.into_iter().filter_map(|line| self.decode(line)).collect();
        let matches = |key: &RawKey| {
            let mac = key.mac(parts);
            signatures.iter().any(|it| mac.clone().verify_slice(it).is_ok())
        };
        keys.iter().position(matches).ok_or(VerifyError::Wrong)
    }

    /// The value of the header.
    #[must_use]
    pub fn sign(&self, key: &RawKey, parts: &[&[u8]]) -> String {
        let mac = key.mac(parts).finalize().into_bytes();
        let written = match self.encoding {
            Encoding::Hex => hex::encode(mac),
            Encoding::Base64 => STANDARD.encode(mac),
        };
        format!("{}{written}", self.prefix)
    }

    fn decode(&self, line: &[u8]) -> Option<Vec<u8>> {
        let written = line.strip_prefix(self.prefix.as_bytes())?;
        match self.encoding {
            Encoding::Hex => hex::decode(written).ok(),
            Encoding::Base64 => LENIENT.decode(written).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: RawHmac = RawHmac { header: "x-signature", prefix: "sha256=", encoding: Encoding::Hex };
    const BASE64: RawHmac = RawHmac { header: "x-signature", prefix: "", encoding: Encoding::Base64 };

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("X-SIGNATURE", line.parse().unwrap());
        }
        headers
    }

    /// Known answer: Modern Treasury's documentation.
    #[test]
    fn a_signature_of_another_implementation_verifies_and_a_changed_byte_does_not() {
        let plain = RawHmac { prefix: "", ..HEX };
        let (key, body) = (RawKey::of_text("foo").unwrap(), br#"{"foo":"bar"}"#);
        let signature = "57e14f6f354543f0101fb06ea24df7731d90087b76651e3497345e22a3622940";
        assert_eq!(plain.sign(&key, &[body]), signature);
        assert_eq!(
            plain.verify(std::slice::from_ref(&key), &headers(&[signature]), &[br#"{"foo""#, br#":"bar"}"#]),
            Ok(0)
        );
        assert_eq!(plain.verify(&[key], &headers(&[signature]), &[br#"{"foo":"baz"}"#]), Err(VerifyError::Wrong));
    }

    #[test]
    fn any_line_and_any_key_may_match_and_what_is_written_otherwise_does_not() {
        let keys = ["old", "new"].map(|it| RawKey::of_text(it).unwrap());
        let body: &[&[u8]] = &[b"{}"];
        let right = HEX.sign(&keys[1], body);
        let check = |lines: &[&str]| HEX.verify(&keys, &headers(lines), body);
        let capitals = format!("sha256={}", right.strip_prefix("sha256=").unwrap().to_uppercase());
        for lines in [&[right.as_str()] as &[&str], &[&capitals], &["sha256=00", &right], &[&right, ""]] {
            assert_eq!(check(lines), Ok(1), "{lines:?}");
        }
        let bare = right.strip_prefix("sha256=").unwrap();
        let base64 = BASE64.sign(&keys[1], body);
        for wrong in
            [bare, &right[..right.len() - 1], &format!("{right}0"), &format!("SHA256={bare}"), "sha256=", &base64]
        {
            assert_eq!(check(&[wrong]), Err(VerifyError::Wrong), "{wrong}");
        }
        for missing in [&[] as &[&str], &[""], &[" ", ""]] {
            assert_eq!(check(missing), Err(VerifyError::Missing), "{missing:?}");
        }
        assert_eq!(HEX.verify(&[], &headers(&[&right]), body), Err(VerifyError::Wrong), "no key, no trust");
    }

    #[test]
    fn base64_needs_no_padding_and_a_signature_of_another_length_is_false() {
        let keys = [RawKey::of_hex("00ff").unwrap()];
        let body: &[&[u8]] = &[b"{}"];
        let right = BASE64.sign(&keys[0], body);
        assert_eq!(BASE64.verify(&keys, &headers(&[right.trim_end_matches('=')]), body), Ok(0));
        for wrong in ["A".repeat(44), "A".repeat(43), "%".repeat(44), right.to_lowercase(), HEX.sign(&keys[0], body)] {
            assert_eq!(BASE64.verify(&keys, &headers(&[&wrong]), body), Err(VerifyError::Wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_has_its_form_and_is_never_shown() {
        assert!(["", "0", "xx", "0x00"].iter().all(|it| RawKey::of_hex(it).is_err()));
        assert!(["", "a b", "é"].iter().all(|it| RawKey::of_text(it).is_err()));
        assert_eq!(format!("{:?}", RawKey::of_text("secret").unwrap()), "RawKey(…)");
    }
}
