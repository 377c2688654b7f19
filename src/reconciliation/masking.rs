//! IBANs in the values of cases and mismatches, masked for readers and subscribers.

use serde_json::Value;

use crate::domain::bank::mask;

/// Masks the values named `iban`, at any depth.
pub fn masked(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = if name == "iban" { masked_text(&value) } else { masked(value) };
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        other => other,
    }
}

fn masked_text(value: &Value) -> Value {
    value.as_str().map_or(Value::Null, |text| mask(text).into())
}

#[must_use]
pub fn masked_differences(value: Value) -> Value {
    let Value::Array(items) = value else { return value };
    let mask_sides = |mut item: Value| {
        if item["field"] == "iban" {
            for side in ["ours", "theirs"] {
                item[side] = masked_text(&item[side]);
            }
        }
        item
    };
    items.into_iter().map(mask_sides).collect()
}
