//! Standard Webhooks 1.0: `v1,` base64 of HMAC-SHA256 over `id.timestamp.body`.
//!
//! Source: the specification (standardwebhooks.com), `spec/standard-webhooks.md`.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Fingerprint;
use crate::clock::Time;
use crate::provider::VerifyError;

/// The header with the event's id.
pub const ID: &str = "webhook-id";
/// The header with the signed time, in seconds since the epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, each behind its version.
pub const SIGNATURE: &str = "webhook-signature";
/// All headers of the signature.
pub const HEADERS: &[&str] = &[ID, TIMESTAMP, SIGNATURE];

/// More signatures than a rotation needs; each is compared with every secret.
const MAX_SIGNATURES: usize = 16;

/// Some libraries omit the padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key shared with the sender: `whsec_` and base64.
#[derive(Clone)]
pub struct WebhookSecret {
    key: Hmac<Sha256>,
    fingerprint: Fingerprint,
}

impl WebhookSecret {
    /// Parses `whsec_…`: base64 of at least one byte. (The specification recommends 24 to 64 bytes; the provider
    /// chooses.)
    ///
    /// # Errors
    /// The problem, without the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let encoded = text.strip_prefix("whsec_").ok_or("a secret does not start with whsec_")?;
        let key = LENIENT.decode(encoded).map_err(|_| "a secret is not base64 after whsec_")?;
        if key.is_empty() {
            return Err("a secret is empty".to_owned());
        }
        let key = Hmac::new_from_slice(&key).map_err(|_| "a secret cannot be a key".to_owned())?;
        Ok(Self { key, fingerprint: Fingerprint::of(text) })
    }

    /// The secret's fingerprint, for logs and the API.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// The value of the signature header.
#[must_use]
pub fn sign(secret: &WebhookSecret, id: &str, at: Time, body: &[u8]) -> String {
    let mac = secret.mac(id.as_bytes(), at.timestamp().to_string().as_bytes(), body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Verifies a signature by one of `secrets` at a time within `tolerance` of `now`. Returns the event's id and the
/// secret's index.
///
/// # Errors
/// Why the signature was refused.
pub fn verify(
    secrets: &[WebhookSecret],
    headers: &HeaderMap,
    body: &[u8],
    now: Time,
    tolerance: TimeDelta,
) -> Result<(String, usize), VerifyError> {
    // Both are signed. Of several lines the first counts, and an additional line cannot make a wrong signature match.
    let header = |name| headers.get(name).map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let (Some(id), Some(timestamp), Some(signatures)) = (header(ID), header(TIMESTAMP), signatures(headers)) else {
        return Err(VerifyError::Missing);
    };
    let signed_by = secrets.iter().position(|secret| {
        let mac = secret.mac(id, timestamp, body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    let secret = signed_by.ok_or(VerifyError::Wrong)?;
    // Checked after the signature: an unsigned time proves nothing.
    let seconds: i64 =
        std::str::from_utf8(timestamp).ok().and_then(|text| text.parse().ok()).ok_or(VerifyError::Stale)?;
    let signed_at = Time::from_timestamp(seconds, 0).ok_or(VerifyError::Stale)?;
    if (now - signed_at).abs() > tolerance {
        return Err(VerifyError::Stale);
    }
    let id = std::str::from_utf8(id).map_err(|_| VerifyError::Missing)?;
    Ok((id.to_owned(), secret))
}

/// The signatures of version 1. None: the header is missing or empty.
///
/// The syntax is `version,signature`, separated by spaces. A proxy may add white space after a comma, join lines with
/// commas, or split the header into lines. So all lines are read as one list of words, and a signature is the word
/// after its version; base64 contains neither commas nor white space. A signature without its version is ignored.
fn signatures(headers: &HeaderMap) -> Option<Vec<Vec<u8>>> {
    let lines = headers.get_all(SIGNATURE).iter().map(HeaderValue::as_bytes);
    let words = lines.flat_map(|line| line.split(|byte| matches!(byte, b' ' | b'\t' | b',')));
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    let first = words.windows(2).filter_map(|pair| (pair[0] == b"v1").then_some(pair[1]));
    let decoded = first.take(MAX_SIGNATURES).filter_map(|encoded| LENIENT.decode(encoded).ok());
    (!words.is_empty()).then(|| decoded.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ID, id), (TIMESTAMP, timestamp), (SIGNATURE, signature)] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    fn check(secret: &str, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(String, usize), VerifyError> {
        let secrets = [WebhookSecret::parse(secret).unwrap()];
        verify(&secrets, headers, body, Time::from_timestamp(now, 0).unwrap(), TimeDelta::minutes(5))
    }

    /// Known answers: the specification's libraries, and crate `standardwebhooks` 1.0.1.
    #[test]
    fn signatures_of_other_implementations_verify_and_a_changed_byte_does_not() {
        for (secret, id, time, body, signature) in [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ] {
            let stamp = time.to_string();
            let good = headers(id, &stamp, signature);
            assert_eq!(check(secret, &good, body.as_bytes(), time), Ok((id.to_owned(), 0)));
            let at = Time::from_timestamp(time, 0).unwrap();
            assert_eq!(sign(&WebhookSecret::parse(secret).unwrap(), id, at, body.as_bytes()), signature);
            // Several signatures with the right one last, and an unknown version.
            let several = headers(id, &stamp, &format!("v1,AAAA v2,xyz {signature}"));
            assert!(check(secret, &several, body.as_bytes(), time).is_ok());
            let other_id = headers("msg_other", &stamp, signature);
            assert_eq!(check(secret, &other_id, body.as_bytes(), time), Err(VerifyError::Wrong));
            assert_eq!(check(secret, &good, format!("{body} ").as_bytes(), time), Err(VerifyError::Wrong));
            let other_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx";
            assert_eq!(check(other_secret, &good, body.as_bytes(), time), Err(VerifyError::Wrong));
        }
    }

    #[test]
    fn the_reference_implementation_takes_our_signatures_and_we_take_its() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let oracle = standardwebhooks::Webhook::new(secret).unwrap();
        let body = "{\"a\":\"\u{e9}\"}".as_bytes();
        let signed = oracle.sign("msg_1", 1_700_000_000, body).unwrap();
        assert!(check(secret, &headers("msg_1", "1700000000", &signed), body, 1_700_000_000).is_ok());
        let at = Time::from_timestamp(1_700_000_000, 0).unwrap();
        assert_eq!(sign(&WebhookSecret::parse(secret).unwrap(), "msg_1", at, body), signed);
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const AT: i64 = 1_700_000_000;

    /// The result for these lines of the signature header; `{}` is replaced by the right signature without its version.
    fn check_lines(lines: &[&str]) -> Result<(String, usize), VerifyError> {
        let signed = sign(&WebhookSecret::parse(SECRET).unwrap(), "m", Time::from_timestamp(AT, 0).unwrap(), b"{}");
        let mut folded = headers("m", "1700000000", "v1,AAAA");
        folded.remove(SIGNATURE);
        for line in lines {
            folded.append(SIGNATURE, line.replace("{}", signed.strip_prefix("v1,").unwrap()).parse().unwrap());
        }
        check(SECRET, &folded, b"{}", AT)
    }

    /// F11
    #[test]
    fn a_signature_is_the_word_after_its_version_however_the_header_is_folded() {
        for right in [
            &["v1,{}"] as &[&str],
            &["v1, {}"],
            &["v1 {}"],
            &["v1 , {}"],
            &["v1,{},"],
            &[",v1,{}"],
            &["v1,\t{}"],
            &["v1,AAAA v1,{}"],
            &["v1,AAAA,v1,{}"],
            &["v1,AAAA, v1,{}"],
            &["v1a,AAAA, v1, {} ,v2,xyz"],
            &["v1,AAAA", "v1,{}"],
            &["v1,{}", "v1,AAAA"],
            &["", "v1,{}"],
            &["v1", "{}"],
            &["v1,AAAA,v1", "{}"],
            &["v1 v1,{}"],
        ] {
            assert!(check_lines(right).is_ok(), "{right:?}");
        }
        for wrong in [
            &["{}"] as &[&str],
            &["v1,AAAA {}"],
            &["v1,AAAA", "{}"],
            &["v2,{}"],
            &["v1a {}"],
            &["{},v1"],
            &["v1;{}"],
            &["v1,v2,{}"],
            &["V1,{}"],
        ] {
            assert_eq!(check_lines(wrong), Err(VerifyError::Wrong), "{wrong:?}");
        }
        for missing in [&[] as &[&str], &[""], &[" , ,", "\t"]] {
            assert_eq!(check_lines(missing), Err(VerifyError::Missing), "{missing:?}");
        }
    }

    /// A signature of another version or of other content.
    fn other() -> impl Strategy<Value = [String; 2]> {
        let version = prop::sample::select(vec!["v1", "v1a", "v2"]);
        (version, prop::collection::vec(any::<u8>(), 1..80))
            .prop_map(|(version, bytes)| [version.to_owned(), STANDARD.encode(bytes)])
    }

    /// Separators that a proxy may insert.
    fn separator() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![" ", ",", ", ", " ,", ",,", "\t", "\n", ",\n", "\n,"])
    }

    /// A request with this list as its signature header and a separator after each word.
    fn folded(id: &str, time: &str, list: &[[String; 2]], separators: &[&str]) -> HeaderMap {
        let words = list.iter().flatten().zip(separators);
        let text: String = words.flat_map(|(word, separator)| [word.as_str(), *separator]).collect();
        let mut folded = headers(id, time, "");
        folded.remove(SIGNATURE);
        for line in text.split('\n') {
            folded.append(SIGNATURE, line.parse().unwrap());
        }
        folded
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// F11: any folding of a list with the right signature verifies; with one byte of signature, version or content
        /// changed, none does.
        #[test]
        fn any_folding_verifies_and_with_one_byte_changed_none_does(
            mut list in prop::collection::vec(other(), 0..MAX_SIGNATURES),
            place in any::<prop::sample::Index>(),
            separators in prop::collection::vec(separator(), 2 * MAX_SIGNATURES),
            part in 0_usize..5,
            at in any::<prop::sample::Index>(),
            byte in 0x20_u8..0x7f,
        ) {
            let (id, time, body) = ("msg_1", "1700000000", "{\"a\":1}");
            let signed_at = Time::from_timestamp(AT, 0).unwrap();
            let signed = sign(&WebhookSecret::parse(SECRET).unwrap(), id, signed_at, body.as_bytes());
            // The padding is optional, so it is not part of the signature.
            let signature = signed.strip_prefix("v1,").unwrap().trim_end_matches('=');
            let mut parts = [id, time, body, "v1", signature].map(str::to_owned);
            let place = place.index(list.len() + 1);
            list.insert(place, [parts[3].clone(), parts[4].clone()]);
            let whole = folded(id, time, &list, &separators);
            prop_assert_eq!(check(SECRET, &whole, body.as_bytes(), AT), Ok((id.to_owned(), 0)));

            let at = at.index(parts[part].len());
            prop_assume!(parts[part].as_bytes()[at] != byte);
            parts[part].replace_range(at..=at, &char::from(byte).to_string());
            list[place] = [parts[3].clone(), parts[4].clone()];
            let changed = folded(&parts[0], &parts[1], &list, &separators);
            prop_assert!(check(SECRET, &changed, parts[2].as_bytes(), AT).is_err());
        }
    }

    #[test]
    fn the_signed_time_counts_to_the_second_of_the_tolerance_in_both_directions() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let at = Time::from_timestamp(1_700_000_000, 0).unwrap();
        let signed = headers("m", "1700000000", &sign(&WebhookSecret::parse(secret).unwrap(), "m", at, b"{}"));
        for (now, fits) in [(-300, true), (-301, false), (0, true), (300, true), (301, false)] {
            let result = check(secret, &signed, b"{}", 1_700_000_000 + now);
            assert_eq!(result.is_ok(), fits, "{now}: {result:?}");
        }
    }

    #[test]
    fn a_missing_header_or_a_time_that_is_none_is_refused() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for name in [ID, TIMESTAMP, SIGNATURE] {
            let mut some = headers("m", "1700000000", "v1,AAAA");
            some.remove(name);
            assert_eq!(check(secret, &some, b"{}", 1_700_000_000), Err(VerifyError::Missing), "{name}");
        }
        let key = WebhookSecret::parse(secret).unwrap();
        for time in ["soon", "99999999999999999999", "1e9"] {
            let mac = key.mac(b"m", time.as_bytes(), b"{}");
            let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
            let result = check(secret, &headers("m", time, &signature), b"{}", 1_700_000_000);
            assert_eq!(result, Err(VerifyError::Stale), "{time}");
        }
    }
}
