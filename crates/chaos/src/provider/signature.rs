//! An independent implementation of Standard Webhooks (`v1,` base64 of HMAC-SHA256 over `id.timestamp.body`). It signs
//! the bank's messages and checks the service's events.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header with the message's id.
pub const ID: &str = "webhook-id";
/// The header with the signed time, in seconds since the epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signature.
pub const SIGNATURE: &str = "webhook-signature";

#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let encoded = text.strip_prefix("whsec_").context("a webhook secret does not start with whsec_")?;
        let key = STANDARD.decode(encoded).context("a webhook secret is not base64")?;
        Ok(Self(Hmac::new_from_slice(&key).context("a webhook secret cannot be a key")?))
    }

    /// The key in these bytes.
    pub fn of(key: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(Hmac::new_from_slice(key).context("a webhook key")?))
    }

    /// The HMAC over these parts.
    pub fn raw(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }

    /// A key unknown to the service, for forgeries.
    pub fn wrong() -> anyhow::Result<Self> {
        Ok(Self(Hmac::new_from_slice(b"a forger's own key").context("a key")?))
    }

    /// The value of the signature header.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mac = self.mac(id.as_bytes(), timestamp.to_string().as_bytes(), body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Whether one of the signatures in the header is ours.
    pub fn verifies(&self, id: &[u8], timestamp: &[u8], body: &[u8], signatures: &str) -> bool {
        let given = signatures.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
        let mac = self.mac(id, timestamp, body);
        given.into_iter().any(|it| mac.clone().verify_slice(&it).is_ok())
    }

    fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_implementation_takes_our_signatures_and_we_take_its() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let (ours, oracle) = (Secret::parse(text).unwrap(), standardwebhooks::Webhook::new(text).unwrap());
        for body in ["{}", "{\"a\":\"\u{e9}\"}"] {
            let theirs = oracle.sign("msg_1", 1_700_000_000, body.as_bytes()).unwrap();
            assert_eq!(ours.sign("msg_1", 1_700_000_000, body.as_bytes()), theirs);
            assert!(ours.verifies(b"msg_1", b"1700000000", body.as_bytes(), &format!("v1,AAAA {theirs}")));
            assert!(!ours.verifies(b"msg_2", b"1700000000", body.as_bytes(), &theirs));
            let forged = Secret::wrong().unwrap().sign("msg_1", 1_700_000_000, body.as_bytes());
            assert!(!ours.verifies(b"msg_1", b"1700000000", body.as_bytes(), &forged));
        }
    }
}
