//! Values that keep to a schema, drawn from a fixed seed: with every field or without those that may be left out, as short
//! and as long as they may be.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::string::{RegexGeneratorStrategy, string_regex};
use proptest::test_runner::{RngSeed, TestRunner};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::operation::{Description, properties};

/// The keywords that are known here: one that is not may be a rule that no value here would keep to.
const KEYWORDS: &str = "$ref additionalProperties default description enum example examples format items maxLength maximum \
                        minLength minimum oneOf pattern properties required title type";

/// Times at the ends of what RFC 3339 writes, and in between.
const TIMES: [&str; 8] = [
    "0000-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999999Z",
    "2000-02-29t12:00:00z",
    "2025-12-31T23:59:60+00:00",
    "2026-01-01T00:00:00.123456789012-23:59",
    "2026-01-01T01:00:00+01:00",
    "2262-04-12T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
];

/// No pattern can say which check digits are right.
const IBANS: [&str; 4] =
    ["BE68539007547034", "DE76110101001100000999", "NL20ADYB2017000035", "FR7699999001007663023512982"];

/// Characters that a long text may be made of.
const FILLERS: [&str; 3] = ["x", "é", "𝄞"];

/// How long a text is where its schema does not say.
const LONG: u64 = 1_000;

pub struct Values<'a> {
    description: &'a Description,
    runner: TestRunner,
    patterns: HashMap<String, RegexGeneratorStrategy<String>>,
}

impl<'a> Values<'a> {
    pub fn new(description: &'a Description) -> Self {
        let config = proptest::test_runner::Config { rng_seed: RngSeed::Fixed(1), ..Default::default() };
        Self { description, runner: TestRunner::new(config), patterns: HashMap::new() }
    }

    fn draw<S: Strategy>(&mut self, strategy: S) -> S::Value {
        strategy.new_tree(&mut self.runner).unwrap().current()
    }

    pub fn flips(&mut self) -> bool {
        self.draw(proptest::bool::ANY)
    }

    pub fn pick<'b, T>(&mut self, from: &'b [T]) -> Option<&'b T> {
        if from.is_empty() { None } else { from.get(self.draw(0..from.len())) }
    }

    /// A value of this schema.
    pub fn of(&mut self, schema: &Value) -> Value {
        let schema = self.description.resolve(schema).clone();
        known(&schema);
        if let Some(choices) = schema["oneOf"].as_array().or(schema["enum"].as_array()) {
            let chosen = self.pick(choices).unwrap().clone();
            return if schema["oneOf"].is_array() { self.of(&chosen) } else { chosen };
        }
        let types = types(&schema);
        match self.pick(&types).map(String::as_str) {
            Some("null") => Value::Null,
            Some("boolean") => self.flips().into(),
            Some("integer") => self.whole(&schema),
            Some("string") => self.string(&schema).into(),
            Some("object") => self.object(&schema),
            other => panic!("{other:?}: {schema}"),
        }
    }

    /// A value of this schema as it stands in a path, a query or a header.
    pub fn text_of(&mut self, schema: &Value) -> String {
        match self.of(schema) {
            Value::String(text) => text,
            other => other.to_string().trim_end_matches(".0").to_owned(),
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let mut object = Map::new();
        for (name, property) in properties(schema).unwrap() {
            if requires(schema, name) || self.flips() {
                object.insert(name.clone(), self.of(property));
            }
        }
        object.into()
    }

    fn whole(&mut self, schema: &Value) -> Value {
        let (min, max) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap());
        let between = self.draw(min..=max);
        // A whole number may also be written as 50.0 (JSON Schema 2020-12, 6.1.1), as some languages do.
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let written = [json!(min), json!(max), json!(between), json!(between as f64)];
        self.pick(&written).unwrap().clone()
    }

    fn string(&mut self, schema: &Value) -> String {
        match schema["format"].as_str() {
            Some("uuid") => return uuid::Uuid::from_u128(self.draw(proptest::num::u128::ANY)).to_string(),
            Some("date-time") => return (*self.pick(&TIMES).unwrap()).to_owned(),
            Some("iban") => return (*self.pick(&IBANS).unwrap()).to_owned(),
            Some(other) => panic!("format {other}"),
            None => {}
        }
        let pattern = schema["pattern"].as_str().unwrap_or("^(?s:.)*$");
        let fits = |text: &str| matches(pattern, text) && fits(schema, text);
        if let Some(longest) = self.longest(schema).filter(|it| fits(it)) {
            return longest;
        }
        if !self.patterns.contains_key(pattern) {
            // The generator takes no anchors; and a few repeats of a part are as good as many.
            let inner = pattern.strip_prefix('^').and_then(|it| it.strip_suffix('$')).unwrap().replace(")+", "){1,3}");
            self.patterns.insert(pattern.to_owned(), string_regex(&inner).unwrap());
        }
        let (strategy, runner) = (&self.patterns[pattern], &mut self.runner);
        std::iter::repeat_with(|| strategy.new_tree(runner).unwrap().current()).find(|it| fits(it)).unwrap()
    }

    /// Now and then the longest text that may be.
    fn longest(&mut self, schema: &Value) -> Option<String> {
        let filler = *self.pick(&FILLERS).unwrap();
        let length = usize::try_from(schema["maxLength"].as_u64().unwrap_or(LONG)).unwrap();
        self.flips()
            .then(|| filler.repeat(length))
            .filter(|_| schema["pattern"].is_string() || schema["maxLength"].is_u64())
    }
}

/// The types of a schema.
pub fn types(schema: &Value) -> Vec<String> {
    let names = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    names.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

/// Whether an object must have a field.
pub fn requires(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name))
}

/// Whether a text matches a pattern. Each is compiled once: that takes long.
pub fn matches(pattern: &str, text: &str) -> bool {
    thread_local!(static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default());
    COMPILED.with_borrow_mut(|compiled| {
        let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).unwrap());
        regex.is_match(text)
    })
}

/// Whether a text is as long as it may be.
pub fn fits(schema: &Value, text: &str) -> bool {
    let length = text.chars().count() as u64;
    schema["minLength"].as_u64().is_none_or(|min| length >= min)
        && schema["maxLength"].as_u64().is_none_or(|max| length <= max)
}

fn known(schema: &Value) {
    for keyword in schema.as_object().unwrap().keys() {
        assert!(KEYWORDS.split(' ').any(|it| it == keyword), "{keyword} is not known here: {schema}");
    }
}
