//! Whether an answer is as described: its status, its media type, its headers and its body, which has no field beside those
//! described.

use std::collections::BTreeSet;

use serde_json::Value;

use super::operation::{Description, Operation, Sent, properties};
use super::values::{fits, matches, requires, types};

pub fn check(description: &Description, operation: &Operation, answer: &Sent) -> Result<(), String> {
    let response = description.resolve(&operation.responses[answer.status.to_string()]);
    let Some(content) = response["content"].as_object() else { return Err("a status that is not described".into()) };
    let header = |name: &str| answer.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let Some(media) = content.get(header("content-type")) else { return Err("another media type".into()) };
    for name in response["headers"].as_object().into_iter().flat_map(|it| it.keys()) {
        // Only on a repeat.
        if header(name).is_empty() && name != "Idempotent-Replayed" {
            return Err(format!("without its header {name}"));
        }
    }
    value(description, &media["schema"], &answer.body, "")
}

fn value(description: &Description, schema: &Value, it: &Value, at: &str) -> Result<(), String> {
    let schema = description.resolve(schema);
    let wrong = |why: &str| Err(format!("{at} {why}: {schema}"));
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| value(description, choice, it, at).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { wrong("fits none, or several") };
    }
    if schema["allOf"].is_array() {
        return object(description, schema, it, at);
    }
    let types = types(schema);
    if !types.is_empty() && !types.iter().any(|name| is(name, it)) {
        return wrong("is of another type");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(it)) {
        return wrong("is another word");
    }
    match it {
        Value::String(text) if !text_is(schema, text) => wrong("is another text"),
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            let below = schema["minimum"].as_f64().is_some_and(|min| number < min);
            let above = schema["maximum"].as_f64().is_some_and(|max| number > max);
            if below || above { wrong("is out of bounds") } else { Ok(()) }
        }
        Value::Array(items) => {
            items.iter().try_for_each(|item| value(description, &schema["items"], item, &format!("{at}/0")))
        }
        Value::Object(_) if schema["properties"].is_object() => object(description, schema, it, at),
        _ => Ok(()),
    }
}

/// An object has what it must have, and nothing that is not described.
fn object(description: &Description, schema: &Value, it: &Value, at: &str) -> Result<(), String> {
    let mut parts = vec![schema];
    if let Some(all) = schema["allOf"].as_array() {
        parts = all.iter().map(|part| description.resolve(part)).collect();
    }
    let described = |name: &str| parts.iter().find_map(|part| properties(part)?.get(name));
    let fields = it.as_object().ok_or(format!("{at} is no object"))?;
    for (name, field) in fields {
        let schema = described(name).ok_or(format!("{at}/{name} is not described"))?;
        value(description, schema, field, &format!("{at}/{name}"))?;
    }
    let all: BTreeSet<&String> = parts.iter().filter_map(|part| properties(part)).flat_map(|it| it.keys()).collect();
    let missing = all.into_iter().find(|name| parts.iter().any(|it| requires(it, name)) && !fields.contains_key(*name));
    missing.map_or(Ok(()), |name| Err(format!("{at}/{name} is missing")))
}

fn is(name: &str, it: &Value) -> bool {
    match name {
        "null" => it.is_null(),
        "boolean" => it.is_boolean(),
        "integer" => it.is_i64() || it.is_u64(),
        "number" => it.is_number(),
        "string" => it.is_string(),
        "array" => it.is_array(),
        "object" => it.is_object(),
        other => panic!("type {other}"),
    }
}

fn text_is(schema: &Value, text: &str) -> bool {
    let of_format = match schema["format"].as_str() {
        Some("uuid") => uuid::Uuid::parse_str(text).is_ok(),
        Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        _ => true,
    };
    of_format && fits(schema, text) && schema["pattern"].as_str().is_none_or(|it| matches(it, text))
}
