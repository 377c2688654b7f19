//! Signature schemes shared by providers. Each works on raw bytes and compares in constant time.

mod fingerprint;
mod raw_hmac;
mod standard_webhooks;

pub use self::fingerprint::Fingerprint;
pub use self::raw_hmac::{Encoding, RawHmac, RawKey};
pub use self::standard_webhooks::{HEADERS, ID, SIGNATURE, TIMESTAMP, WebhookSecret, sign, verify};
