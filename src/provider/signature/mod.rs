//! Signature schemes shared by providers. Each works on raw bytes and compares in constant time.

mod fingerprint;
mod standard_webhooks;

pub use self::fingerprint::Fingerprint;
pub use self::standard_webhooks::{HEADERS, ID, SIGNATURE, TIMESTAMP, WebhookSecret, sign, verify};
