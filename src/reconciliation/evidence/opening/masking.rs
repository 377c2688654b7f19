//! Masks the parts of a document for a reader. The texts in JSON are masked one by one: an escape would hide one from the mask.

use serde_json::Value;

use super::Mask;

/// A body as readers see it.
#[must_use]
pub fn body(bytes: &[u8], mask: &Mask) -> Vec<u8> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(read) => value(read, mask).to_string().into_bytes(),
        Err(_) => mask(&String::from_utf8_lossy(bytes)).into_bytes(),
    }
}

/// Masks the service's words about a fact: the ids alone come from outside.
#[must_use]
pub fn about(mut of: Value, mask: &Mask) -> Value {
    for name in ["event_id", "provider_reference"] {
        if let Some(masked) = of[name].as_str().map(mask.as_ref()) {
            of[name] = masked.into();
        }
    }
    of
}

/// Every text in a value, and the names of fields that are no plain words.
#[must_use]
pub fn value(of: Value, mask: &Mask) -> Value {
    match of {
        Value::String(text) => mask(&text).into(),
        Value::Array(items) => items.into_iter().map(|it| value(it, mask)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, it)| (field(name, mask), value(it, mask))).collect(),
        other => other,
    }
}

fn field(name: String, mask: &Mask) -> String {
    let is_word = name.len() <= 40 && name.bytes().all(|it| it.is_ascii_lowercase() || matches!(it, b'_' | b'-'));
    if is_word { name } else { mask(&name) }
}

/// The history keeps all but the words of people: a step with masked words cannot be checked against its hash.
#[must_use]
pub fn opening(mut of: Value, mask: &Mask) -> Value {
    for step in of["history"].as_array_mut().into_iter().flatten() {
        if let Some(masked) = step["detail"].as_str().map(mask.as_ref()) {
            step["detail"] = masked.into();
        }
    }
    if let Some(reference) = of["provider_reference"].as_str().map(mask.as_ref()) {
        of["provider_reference"] = reference.into();
    }
    of
}
