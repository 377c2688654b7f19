//! The operations of the description, and requests to them.

use std::fmt;

use reqwest::Method;
use serde_json::{Map, Value};

use super::values::Values;
use crate::support::TestApp;

/// The description, as it is served.
pub struct Description(Value);

/// An operation of it.
pub struct Operation {
    pub method: String,
    pub path: String,
    pub parameters: Vec<Value>,
    /// The schema of its body.
    pub body: Option<Value>,
    pub body_required: bool,
    described_body: Value,
    pub responses: Value,
}

/// A request to one.
#[derive(Clone)]
pub struct Request {
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

/// The answer to a request.
pub struct Sent {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Description {
    pub async fn read(app: &TestApp) -> Self {
        Self(app.get("/openapi.json").await)
    }

    /// The schema or answer that a reference stands for; any other is returned as it is.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(path) => {
                self.resolve(self.0.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path}")))
            }
            None => value,
        }
    }

    pub fn operations(&self) -> Vec<Operation> {
        let of_path = |(path, item): (&String, &Value)| -> Vec<Operation> {
            let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
            methods.map(|(method, it)| Operation::new(path, method, it)).collect()
        };
        let is_file = |it: &Operation| ["/raw", "/evidence"].iter().any(|end| it.path.ends_with(end));
        let speaks_json = |it: &Operation| it.described_body.is_null() == it.body.is_none() && !is_file(it);
        // A file is no JSON: `reconciliation::files` sends and reads files.
        self.0["paths"].as_object().unwrap().iter().flat_map(of_path).filter(speaks_json).collect()
    }
}

impl Operation {
    fn new(path: &str, method: &str, described: &Value) -> Self {
        let body = &described["requestBody"];
        // A poll needs no reason, and alone may come without a body.
        assert_eq!(body["required"] == true, !body.is_null() && !path.ends_with("/poll"), "{path}");
        Self {
            method: method.to_uppercase(),
            path: path.to_owned(),
            parameters: described["parameters"].as_array().cloned().unwrap_or_default(),
            body: body.pointer("/content/application~1json/schema").cloned(),
            body_required: body["required"] == true,
            described_body: body.clone(),
            responses: described["responses"].clone(),
        }
    }

    /// A request that keeps to the description. Half of the ids in paths are of something that is there.
    pub fn request(&self, values: &mut Values<'_>, ids: &[String]) -> Request {
        let mut request = Request { path: self.path.clone(), query: Vec::new(), headers: Vec::new(), body: None };
        for parameter in &self.parameters {
            let name = parameter["name"].as_str().unwrap().to_owned();
            let required = parameter["required"] == true;
            if !required && values.flips() {
                continue;
            }
            let known = if name == "id" { values.pick(ids).cloned() } else { None };
            let example = parameter["example"].as_str().map(str::to_owned);
            let known = known.or(example).filter(|_| values.flips());
            let value = known.unwrap_or_else(|| values.text_of(&parameter["schema"]));
            match parameter["in"].as_str().unwrap() {
                "path" => request.path = request.path.replace(&format!("{{{name}}}"), &segment(&value)),
                "query" => request.query.push((name, value)),
                "header" => request.headers.push((name, value)),
                other => panic!("a parameter in the {other}"),
            }
        }
        let schema = self.body.as_ref().filter(|_| self.body_required || values.flips());
        request.body = schema.map(|schema| values.of(schema));
        request
    }

    pub async fn send(&self, app: &TestApp, request: &Request) -> Sent {
        let method: Method = self.method.parse().unwrap();
        let mut sent = app.request(method, &request.path).query(&request.query);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        if let Some(body) = &request.body {
            sent = sent.json(body);
        }
        let response = sent.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Sent { status, headers, body: response.json().await.unwrap_or(Value::Null) }
    }
}

/// A text as one segment of a path. An empty one would be another path.
fn segment(text: &str) -> String {
    let escaped = |byte: u8| {
        if byte.is_ascii_alphanumeric() || byte == b'-' { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    let text = if text.is_empty() { "none" } else { text };
    text.bytes().map(escaped).collect()
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?} {}", self.path, self.query, self.headers, self.body.as_ref().unwrap_or(&Value::Null))
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

/// The fields of an object schema.
pub fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object()
}
