//! A profile from its TOML text. Every wrong key is named, with what it holds and what it takes.

use std::collections::BTreeMap;

use chrono::format::{Item, StrftimeItems};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use super::{Column, Footer, Profile, ProfileError};
use crate::domain::Verdict;
use crate::report_files::csv::{Dialect, MAX_FIELDS};
use crate::report_files::error::shown;
use crate::report_files::fields::{Field, currency};
use crate::report_files::number::NumberFormat;
use crate::report_files::row::{ChargeType, Kind};
use crate::report_files::source::Encoding;

/// Keys of a table that are taken out one by one; keys that are left at the end are unknown.
struct Keys<'a> {
    file: &'a str,
    /// The name of the table with a point behind it.
    prefix: &'static str,
    table: Table,
    known: Vec<&'static str>,
    errors: Vec<ProfileError>,
}

/// Fields without which no row can be read: one of them must be there.
struct Needed {
    kind: Kind,
    fields: &'static [Field],
    takes_default: bool,
}

const NEEDED: [Needed; 5] = [
    Needed { kind: Kind::Register, fields: &[Field::ProviderReference], takes_default: false },
    Needed { kind: Kind::Register, fields: &[Field::Status], takes_default: false },
    Needed { kind: Kind::Charges, fields: &[Field::Amount, Field::Debit, Field::Credit], takes_default: false },
    Needed { kind: Kind::Charges, fields: &[Field::Type], takes_default: true },
    Needed { kind: Kind::Charges, fields: &[Field::Currency], takes_default: true },
];

pub fn profile(name: &str, file: &str, text: &str) -> Result<Profile, Vec<ProfileError>> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |it| text[..it.start.min(text.len())].matches('\n').count() + 1);
        let (key, problem) = (format!("line {line}"), error.message().to_owned());
        vec![ProfileError { file: file.to_owned(), key, problem, expected: "TOML".to_owned() }]
    })?;
    let mut keys = Keys { file, prefix: "", table, known: Vec::new(), errors: Vec::new() };
    keys.must_have();
    let profile = read(&mut keys, name, text);
    keys.finish();
    if keys.errors.is_empty() { Ok(profile) } else { Err(keys.errors) }
}

fn read(keys: &mut Keys<'_>, name: &str, text: &str) -> Profile {
    let kind = keys.word("kind", "register or charges", |it| it.parse().ok().filter(|it| *it != Kind::Bank));
    if kind.is_none() && !keys.errors.iter().any(|it| it.key == "kind") {
        keys.wrong("kind", "not set", "register or charges");
    }
    let has_header = keys.flag("header").unwrap_or(true);
    let tab = |it: &str| Some(it.as_bytes()[0]).filter(|byte| it.len() == 1 && byte.is_ascii());
    let one = |it: &str| Some(it.chars().next()?).filter(|_| it.chars().count() == 1);
    let delimiter =
        keys.word("delimiter", "a single ASCII character such as \";\"", |it| (!it.is_empty()).then(|| tab(it))?);
    let quote = keys.word("quote", "a single ASCII character such as '\"'", |it| (!it.is_empty()).then(|| tab(it))?);
    let decimal = keys.word("decimal", "\".\" or \",\"", |it| one(it).filter(|it| matches!(it, '.' | ',')));
    let thousands =
        keys.word("thousands", "a single character that is no digit", |it| one(it).filter(|it| !it.is_numeric()));
    let number = NumberFormat { decimal: decimal.unwrap_or('.'), thousands };
    if thousands == Some(number.decimal) {
        keys.wrong("thousands", "the decimal sign", "another character than decimal");
    }
    let encodings = "utf-8, utf-16le, utf-16be or a single-byte encoding such as iso-8859-1";
    Profile {
        name: name.to_owned(),
        sha256: hex::encode(Sha256::digest(text)),
        text: text.to_owned(),
        kind: kind.unwrap_or(Kind::Charges),
        provider: keys.word("provider", "a provider's name", |it| Some(it.to_owned())),
        encoding: keys.word("encoding", encodings, Encoding::named).unwrap_or(Encoding::Utf8),
        dialect: Dialect { delimiter: delimiter.unwrap_or(b','), quote: quote.unwrap_or(b'"') },
        number,
        dates: keys.formats("dates"),
        times: keys.formats("times"),
        zone: keys.word("zone", "a time zone such as Europe/Berlin", |it| it.parse().ok()).unwrap_or(Tz::UTC),
        is_reversed: keys.word("sign", "owed or received", sign).unwrap_or(false),
        skip_lines: keys.number("skip_lines", 1_000).unwrap_or_default() as u64,
        has_header,
        columns: keys.columns(has_header),
        defaults: keys.section("defaults", "a field such as currency, and a value that it takes", default),
        types: keys.section("types", "charge, group, refund, adjustment or settlement", |key, value| {
            Some((key.to_owned(), value.parse().ok().filter(|it| *it != ChargeType::Unknown)?))
        }),
        statuses: keys.section("statuses", "started, pending, completed or rejected", |key, value| {
            Some((key.to_owned(), value.parse().ok().filter(|it| *it != Verdict::Unknown)?))
        }),
        footer: keys.footer(),
    }
}

fn default(key: &str, value: &str) -> Option<(Field, String)> {
    let field = key.parse().ok()?;
    let fits = field != Field::Currency || currency(value).is_ok();
    fits.then(|| (field, value.to_owned()))
}

/// Whether positive amounts are ours to get.
fn sign(word: &str) -> Option<bool> {
    match word {
        "owed" => Some(false),
        "received" => Some(true),
        _ => None,
    }
}

fn held(value: &Value) -> String {
    match value {
        Value::String(text) => format!("invalid value {}", shown(text)),
        other => format!("invalid value {}", serde_json::to_string(other).unwrap_or_default()),
    }
}

impl Keys<'_> {
    fn wrong(&mut self, key: &str, problem: &str, expected: &str) {
        let (file, key) = (self.file.to_owned(), format!("{}{key}", self.prefix));
        self.errors.push(ProfileError { file, key, problem: problem.to_owned(), expected: expected.to_owned() });
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn word<T>(&mut self, key: &'static str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.take(key)?;
        let parsed = value.as_str().and_then(parse);
        if parsed.is_none() {
            self.wrong(key, &held(&value), expected);
        }
        parsed
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        if value.as_bool().is_none() {
            self.wrong(key, &held(&value), "true or false");
        }
        value.as_bool()
    }

    fn number(&mut self, key: &'static str, most: usize) -> Option<usize> {
        let value = self.take(key)?;
        let number = value.as_integer().and_then(|it| usize::try_from(it).ok()).filter(|it| *it <= most);
        if number.is_none() {
            self.wrong(key, &held(&value), &format!("a whole number from 0 to {most}"));
        }
        number
    }

    fn formats(&mut self, key: &'static str) -> Vec<String> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let is_format = |it: &str| !it.is_empty() && StrftimeItems::new(it).all(|it| it != Item::Error);
        let formats = value.as_array().and_then(|all| {
            all.iter().map(|it| it.as_str().filter(|it| is_format(it)).map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        if formats.is_none() {
            self.wrong(key, &held(&value), "a list of formats such as [\"%d.%m.%Y\"]");
        }
        formats.unwrap_or_default()
    }

    /// A table of texts.
    fn section<K: Ord, V>(
        &mut self,
        section: &'static str,
        expected: &str,
        entry: impl Fn(&str, &str) -> Option<(K, V)>,
    ) -> BTreeMap<K, V> {
        let mut entries = BTreeMap::new();
        let Some(value) = self.take(section) else { return entries };
        let Value::Table(table) = value else {
            self.wrong(section, &held(&value), "a table");
            return entries;
        };
        for (key, value) in &table {
            match value.as_str().and_then(|it| entry(key, it)) {
                Some((key, value)) => drop(entries.insert(key, value)),
                None => self.wrong(&format!("{section}.{key}"), &held(value), expected),
            }
        }
        entries
    }

    fn columns(&mut self, has_header: bool) -> BTreeMap<Field, Column> {
        let mut columns = BTreeMap::new();
        let Some(Value::Table(table)) = self.take("columns") else {
            self.wrong("columns", "not set", "a table of fields and their columns");
            return columns;
        };
        for (key, value) in &table {
            let name = format!("columns.{key}");
            let Ok(field) = key.parse::<Field>() else {
                let fields: Vec<&str> = Field::ALL.iter().map(|it| it.as_str()).collect();
                self.wrong(&name, "unknown field", &format!("one of {}", fields.join(", ")));
                continue;
            };
            let place =
                value.as_integer().and_then(|it| usize::try_from(it).ok()).filter(|it| (1..=MAX_FIELDS).contains(it));
            match (has_header, value.as_str(), place) {
                (true, Some(text), _) => drop(columns.insert(field, Column::Name(text.to_owned()))),
                (false, _, Some(place)) => drop(columns.insert(field, Column::Place(place - 1))),
                (true, ..) => self.wrong(&name, &held(value), "the name of a column"),
                (false, ..) => self.wrong(&name, &held(value), "the number of a column, from 1, since header is false"),
            }
        }
        columns
    }

    /// A profile that cannot make a single row is wrong.
    fn must_have(&mut self) {
        let keys = |section: &str| -> Option<Vec<String>> {
            let table = self.table.get(section)?.as_table()?;
            Some(table.keys().cloned().collect())
        };
        let (Some(columns), defaults) = (keys("columns"), keys("defaults").unwrap_or_default()) else { return };
        let kind = self.table.get("kind").and_then(Value::as_str).and_then(|it| it.parse::<Kind>().ok());
        for Needed { fields, takes_default, .. } in NEEDED.iter().filter(|it| Some(it.kind) == kind) {
            let stands_in = |keys: &[String]| fields.iter().any(|it| keys.iter().any(|key| key == it.as_str()));
            if !(stands_in(&columns) || *takes_default && stands_in(&defaults)) {
                let or = if *takes_default { format!(", or defaults.{}", fields[0]) } else { String::new() };
                self.wrong(&format!("columns.{}", fields[0]), "not set", &format!("the column that holds it{or}"));
            }
        }
    }

    fn footer(&mut self) -> Option<Footer> {
        let Some(Value::Table(table)) = self.take("footer") else { return None };
        let mut keys = Keys { file: self.file, prefix: "footer.", table, known: Vec::new(), errors: Vec::new() };
        let starts_with = keys.word("starts_with", "text", |it| Some(it.to_owned()).filter(|it| !it.is_empty()));
        let mut place = |key| keys.number(key, MAX_FIELDS).and_then(|it| it.checked_sub(1));
        let (rows, amount, debit, credit) = (place("rows"), place("amount"), place("debit"), place("credit"));
        if starts_with.is_none() && keys.errors.is_empty() {
            keys.wrong("starts_with", "not set", "the text with which the last record begins");
        }
        keys.finish();
        self.errors.append(&mut keys.errors);
        Some(Footer { starts_with: starts_with?, rows, amount, debit, credit })
    }

    fn finish(&mut self) {
        let known = self.known.join(", ");
        for key in std::mem::take(&mut self.table).keys() {
            self.wrong(key, "unknown key", &format!("one of {known}"));
        }
    }
}
