//! Requests of which one part does not keep to the description: a field that does not exist or is missing, a value of another
//! type, another word, one more than the most, one less than the least.

use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::operation::{Description, Operation, Request, properties};
use super::values::{Values, requires, types};

/// A request that must be refused.
pub struct Wrong {
    pub what: String,
    pub request: Request,
    pub refusal: (u16, &'static str),
    /// The only place that the refusal points at.
    pub pointer: Option<String>,
}

const UNKNOWN: (u16, &str) = (400, "unknown-field");
const INVALID: (u16, &str) = (422, "validation-failed");

/// Such requests to an operation.
pub fn requests(
    description: &Description,
    operation: &Operation,
    values: &mut Values<'_>,
    ids: &[String],
) -> Vec<Wrong> {
    let mut good = operation.request(values, ids);
    good.path = path(description, operation, ids);
    good.query.clear();
    let mut found = of_parameters(description, operation, &good);
    if let Some(schema) = &operation.body {
        for variant in variants(description, schema) {
            let request = Request { body: Some(values.of(&variant)), ..good.clone() };
            of_object(description, &variant, &request, "", &mut found);
        }
    }
    found
}

/// The path of something that is there, or could be.
fn path(description: &Description, operation: &Operation, ids: &[String]) -> String {
    let mut path = operation.path.clone();
    for parameter in operation.parameters.iter().filter(|it| it["in"] == "path") {
        let word = description.resolve(&parameter["schema"])["enum"][0].as_str();
        let known = parameter["example"].as_str().or(word).or(ids.first().map(String::as_str));
        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
        path = path.replace(&name, known.unwrap_or_else(|| panic!("{path}: nothing is there")));
    }
    path
}

/// The alternatives of a body, each an object.
fn variants(description: &Description, schema: &Value) -> Vec<Value> {
    let schema = description.resolve(schema);
    match schema["oneOf"].as_array() {
        Some(choices) => choices.iter().map(|it| description.resolve(it).clone()).collect(),
        None => vec![schema.clone()],
    }
}

fn of_parameters(description: &Description, operation: &Operation, good: &Request) -> Vec<Wrong> {
    let mut found = Vec::new();
    let queries: Vec<&Value> = operation.parameters.iter().filter(|it| it["in"] == "query").collect();
    let query = |name: &str, value: String| Request { query: vec![(name.to_owned(), value)], ..good.clone() };
    for parameter in &queries {
        let name = parameter["name"].as_str().unwrap();
        for value in beyond(description, &parameter["schema"]) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let what = format!("{name}={value}");
            found.push(Wrong {
                what,
                request: query(name, value),
                refusal: INVALID,
                pointer: Some(format!("/{name}")),
            });
        }
    }
    if !queries.is_empty() {
        let (request, pointer) = (query("no_such", String::new()), Some("/no_such".to_owned()));
        found.push(Wrong { what: "an unknown parameter".into(), request, refusal: UNKNOWN, pointer });
    }
    for parameter in operation.parameters.iter().filter(|it| it["in"] == "header") {
        let name = parameter["name"].as_str().unwrap();
        let values = beyond(description, &parameter["schema"]);
        let texts = values.iter().filter_map(Value::as_str).filter(|it| HeaderValue::from_str(it).is_ok());
        let with = |text: &str| Request { headers: vec![(name.to_owned(), text.to_owned())], ..good.clone() };
        let requests = texts.map(with).chain([Request { headers: Vec::new(), ..good.clone() }]);
        let refusal = (400, "missing-idempotency-key");
        found.extend(requests.map(|request| Wrong { what: name.to_owned(), request, refusal, pointer: None }));
    }
    found
}

/// The ways in which an object of this schema at `at`, and those in it, can be wrong.
fn of_object(description: &Description, schema: &Value, good: &Request, at: &str, found: &mut Vec<Wrong>) {
    assert_eq!(
        schema["additionalProperties"], false,
        "unknown fields are refused, and the schema does not say so: {schema}"
    );
    let mut push = |what: &str, name: &str, value: Option<Value>, refusal| {
        let mut request = good.clone();
        let object = request.body.as_mut().unwrap().pointer_mut(at).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(object.insert(name.to_owned(), value)),
            None => drop(object.remove(name)),
        }
        let what = format!("{what} at {at}/{name}");
        found.push(Wrong { what, request, refusal, pointer: Some(format!("{at}/{name}")) });
    };
    push("an unknown field", "no_such", Some(json!("x")), UNKNOWN);
    for (name, property) in properties(schema).unwrap() {
        // Other fields hang on the word that says which alternative it is.
        let chooses = name == "outcome";
        let nullable = nullable(description, property);
        if requires(schema, name) && !chooses {
            push("a missing field", name, None, INVALID);
        }
        if !nullable && !chooses {
            push("null", name, Some(Value::Null), INVALID);
        }
        for value in beyond(description, property).into_iter().filter(|_| !chooses) {
            push("a wrong value", name, Some(value), INVALID);
        }
    }
    for (name, property) in properties(schema).unwrap() {
        let inner = description.resolve(property);
        if inner["properties"].is_object() {
            of_object(description, inner, good, &format!("{at}/{name}"), found);
        }
    }
}

fn nullable(description: &Description, schema: &Value) -> bool {
    let schema = description.resolve(schema);
    let null = |it: &Value| types(description.resolve(it)).iter().any(|name| name == "null");
    null(schema) || schema["oneOf"].as_array().is_some_and(|all| all.iter().any(null))
}

/// Values that this schema just does not allow.
fn beyond(description: &Description, schema: &Value) -> Vec<Value> {
    let schema = description.resolve(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices
            .iter()
            .map(|it| description.resolve(it))
            .filter(|it| it["type"] != "null")
            .flat_map(|it| beyond(description, it))
            .collect();
    }
    let types = types(schema);
    let is = |name: &str| types.iter().any(|it| it == name);
    let mut values = Vec::new();
    if is("string") {
        values.extend(beyond_text(schema));
    } else if is("integer") {
        values.extend([
            json!(schema["minimum"].as_i64().unwrap() - 1),
            json!(schema["maximum"].as_i64().unwrap() + 1),
            json!("x"),
        ]);
    } else if is("boolean") {
        values.push(json!("true"));
    } else if is("object") {
        values.push(json!([]));
    } else if is("null") {
        values.push(json!("x"));
    }
    values
}

fn beyond_text(schema: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    if let Some(most) = schema["maxLength"].as_u64() {
        values.push("x".repeat(usize::try_from(most).unwrap() + 1));
    }
    if schema["minLength"].as_u64().is_some_and(|least| least > 0) {
        values.push(String::new());
    }
    if schema["enum"].is_array() || schema["format"].is_string() || schema["pattern"].is_string() {
        values.push("\u{0}".to_owned());
    }
    if schema["enum"].is_array() || schema["format"].is_string() {
        values.push("no such word".to_owned());
    }
    values.into_iter().map(Value::String).collect()
}
