//! Both sides of a mismatch as rows of a table, and the arithmetic of its suggestion.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::db::mismatches::Listed;
use crate::http::dashboard::parts::{Privacy, words};
use crate::reconciliation::masking::{masked, masked_differences};

/// Fields with free texts of the provider.
const FREE: [&str; 4] = ["description", "rejection_reason", "reason", "reference"];

/// A field of both sides.
pub struct Row {
    pub field: String,
    pub label: String,
    /// None: this side says nothing.
    pub ours: Option<String>,
    pub theirs: Option<String>,
    pub delta: Option<String>,
    pub differs: bool,
}

/// A scalar as people read it.
#[must_use]
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A field of either side as this person may see it.
#[must_use]
pub fn shown(field: &str, text: &str, privacy: &Privacy) -> String {
    let is_free = FREE.contains(&field.rsplit('.').next().unwrap_or(field));
    if is_free { privacy.free_text(text) } else { privacy.text(text) }
}

/// The differing values first, then all that either side says.
#[must_use]
pub fn rows(it: &Listed, privacy: &Privacy) -> Vec<Row> {
    let (ours, theirs, differences) = if privacy.sees_all() {
        (it.ours.clone(), it.theirs.clone(), it.differences.clone())
    } else {
        (masked(it.ours.clone()), masked(it.theirs.clone()), masked_differences(it.differences.clone()))
    };
    let shown = |field: &str, text: String| shown(field, &text, privacy);
    let differing = differences.as_array().cloned().unwrap_or_default();
    let mut rows: Vec<Row> = differing.iter().map(|it| differs(it, &shown)).collect();
    let (ours, theirs) = (flat(&ours), flat(&theirs));
    let value = |side: &[(String, String)], field: &str| {
        side.iter().find(|it| it.0 == field).map(|it| shown(field, it.1.clone()))
    };
    for (field, _) in ours.iter().chain(&theirs) {
        if rows.iter().all(|it| it.field != *field) {
            rows.push(Row {
                label: words(field),
                ours: value(&ours, field),
                theirs: value(&theirs, field),
                delta: None,
                differs: false,
                field: field.clone(),
            });
        }
    }
    rows
}

fn differs(it: &Value, shown: &impl Fn(&str, String) -> String) -> Row {
    let field = text_of(&it["field"]).unwrap_or_default();
    let side = |name: &str| text_of(&it[name]).map(|it| shown(&field, it));
    Row {
        label: words(&field),
        ours: side("ours"),
        theirs: side("theirs"),
        delta: text_of(&it["delta"]),
        differs: true,
        field,
    }
}

/// The scalars of an object, those of objects in it under `outer.inner`.
fn flat(value: &Value) -> Vec<(String, String)> {
    let mut flattened = Vec::new();
    let Some(fields) = value.as_object() else { return flattened };
    for (name, value) in fields {
        match value {
            Value::Object(_) => {
                flattened.extend(flat(value).into_iter().map(|(inner, text)| (format!("{name}.{inner}"), text)));
            }
            Value::Array(items) => {
                let texts: Vec<String> = items.iter().filter_map(text_of).collect();
                flattened.push((name.clone(), texts.join(", ")));
            }
            value => flattened.extend(text_of(value).map(|text| (name.clone(), text))),
        }
    }
    flattened
}

/// How the amounts lead to the suggestion, a line per step.
#[must_use]
pub fn arithmetic(it: &Listed) -> Vec<String> {
    let mut lines = Vec::new();
    for difference in it.differences.as_array().into_iter().flatten() {
        let text = |name: &str| difference[name].as_str();
        if let (Some(ours), Some(theirs), Some(delta)) = (text("ours"), text("theirs"), text("delta")) {
            let field = words(text("field").unwrap_or_default());
            lines.push(format!("{field}: theirs {theirs} − ours {ours} = {delta}"));
        }
    }
    lines.extend(of_hint(it));
    lines
}

/// The arithmetic behind a hint about a charge.
fn of_hint(it: &Listed) -> Option<String> {
    let number = |value: &Value| value.as_str()?.parse::<Decimal>().ok();
    let hints = it.suggested["because"].as_array()?;
    let is = |hint: &str| hints.iter().any(|it| it == hint);
    let expected = &it.ours["expected"];
    let (ours, theirs) = (number(&expected["amount"])?, number(&it.theirs["amount"])?);
    if is("tax missing") {
        let tax = number(&expected["tax"])?;
        Some(format!("tax missing: {ours} − {tax} tax = {}", ours - tax))
    } else if is("doubled") {
        Some(format!("doubled: {ours} × 2 = {}", ours * Decimal::TWO))
    } else if is("sign") {
        Some(format!("sign: {ours} + {theirs} = {}", ours + theirs))
    } else if is("×100") {
        let (large, small) = (ours.max(theirs), ours.min(theirs));
        Some(format!("×100: {small} × 100 = {large}"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Time;

    fn mismatch(ours: Value, theirs: Value, differences: Value, because: &str) -> Listed {
        Listed {
            id: uuid::Uuid::nil(),
            provider: "somebank".to_owned(),
            kind: "charges".to_owned(),
            class: "AMOUNT_MISMATCH".to_owned(),
            state: "case".to_owned(),
            due_at: None,
            opening_id: None,
            market: None,
            subject: "chg_1".to_owned(),
            aspect: "charge".to_owned(),
            ours,
            theirs,
            differences,
            suggested: json!({"class": "AMOUNT_MISMATCH", "because": [because], "action": "dispute"}),
            case_id: None,
            created_at: Time::UNIX_EPOCH,
            updated_at: Time::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_arithmetic_of_a_hint_comes_out_at_their_amount() {
        let difference = json!([{"field": "amount", "ours": "6.05", "theirs": "5.00", "delta": "-1.05"}]);
        let expected = json!({"expected": {"amount": "6.05", "tax": "1.05"}});
        let of = |theirs: &str, because: &str| {
            arithmetic(&mismatch(expected.clone(), json!({"amount": theirs}), difference.clone(), because))
        };
        assert_eq!(
            of("5.00", "tax missing"),
            ["amount: theirs 5.00 − ours 6.05 = -1.05", "tax missing: 6.05 − 1.05 tax = 5.00"]
        );
        assert_eq!(of("12.10", "doubled")[1], "doubled: 6.05 × 2 = 12.10");
        assert_eq!(of("605", "×100")[1], "×100: 6.05 × 100 = 605");
        assert_eq!(of("-6.05", "sign")[1], "sign: 6.05 + -6.05 = 0.00");
        assert_eq!(of("7", "old price").len(), 1);
    }

    #[test]
    fn differences_come_first_and_readers_see_no_iban_and_no_free_text() {
        let ours = json!({"iban": "BE68539007547034", "state": "completed", "expected": {"amount": "6.05"}});
        let theirs = json!({"iban": "BE71096123456769", "description": "Fee of Acme BV", "reference": null});
        let differences = json!([{"field": "iban", "ours": "BE68539007547034", "theirs": "BE71096123456769"}]);
        let it = mismatch(ours, theirs, differences, "");
        let shown = |privacy: &Privacy| -> Vec<(String, String, String, bool)> {
            let text = |it: Option<String>| it.unwrap_or_default();
            rows(&it, privacy).into_iter().map(|it| (it.field, text(it.ours), text(it.theirs), it.differs)).collect()
        };
        let whole = shown(&Privacy::new(true, None));
        assert_eq!(whole[0], ("iban".into(), "BE68539007547034".into(), "BE71096123456769".into(), true));
        assert!(whole.contains(&("expected.amount".into(), "6.05".into(), String::new(), false)));
        assert!(whole.contains(&("description".into(), String::new(), "Fee of Acme BV".into(), false)));
        let masked = format!("{:?}", shown(&Privacy::new(false, None)));
        assert!(!masked.contains("539007547034") && !masked.contains("096123456769"), "{masked}");
        assert!(!masked.contains("Acme") && masked.contains("completed"), "{masked}");
    }
}
