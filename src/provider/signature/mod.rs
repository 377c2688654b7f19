//! Signature schemes that providers share. Each works on raw bytes and compares in constant time.

mod standard_webhooks;

pub use self::standard_webhooks::{ID, SIGNATURE, TIMESTAMP, WebhookSecret, sign, verify};
