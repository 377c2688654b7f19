//! The timeline as the page shows it: REST's rows one to one, newest first; equal polls in a row are folded.

use serde_json::Value;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::timeline::{FACT, Item};
use crate::http::dashboard::Layout;
use crate::http::dashboard::pages::cases;
use crate::http::dashboard::parts::{Moment, Privacy, shown, words};

/// Fields of a row's detail that its line says already, or that are ids of other rows.
const SAID: [&str; 10] =
    ["status", "outcome", "provider_status", "failure", "from", "to", "attempts", "event_id", "inbox_id", "version"];
/// So many equal polls in a row are folded.
const FOLDED: usize = 3;

pub struct Entry {
    pub id: String,
    /// The page of the message or case. None: there is none for this person.
    pub href: Option<String>,
    pub at: Moment,
    pub kind: String,
    /// The row in words.
    pub line: String,
    pub more: Vec<More>,
    /// A duplicate, or too late to matter.
    pub is_pale: bool,
}

/// More about a row.
pub struct More {
    pub name: String,
    pub value: String,
    /// The value, where it is a time.
    pub at: Option<Moment>,
}

/// Rows that stand together: one row, or equal polls in a row.
pub struct Group {
    pub entries: Vec<Entry>,
    /// A summary of the folded rows. None: the row stands open.
    pub folded: Option<String>,
}

/// The reader of the rows, and their opening.
pub struct Shown<'a> {
    pub layout: &'a Layout,
    pub privacy: &'a Privacy,
    /// The address of the opening's page.
    pub path: &'a str,
}

/// The rows of a page in their groups.
#[must_use]
pub fn groups(items: &[Item], to: &Shown<'_>) -> Vec<Group> {
    let same = |a: &Item, b: &Item| a.kind == "poll" && b.kind == "poll" && line(a) == line(b);
    let group = |items: &[Item]| {
        let is_folded = items.len() >= FOLDED;
        let folded = is_folded.then(|| format!("{} equal polls: {}", items.len(), to.privacy.text(&line(&items[0]))));
        Group { entries: items.iter().map(|it| entry(it, to)).collect(), folded }
    };
    items
        .chunk_by(same)
        .flat_map(|run| if run.len() >= FOLDED { vec![group(run)] } else { run.chunks(1).map(group).collect() })
        .collect()
}

fn entry(item: &Item, to: &Shown<'_>) -> Entry {
    let outcome = item.detail["outcome"].as_str().unwrap_or_default();
    Entry {
        id: item.id.clone(),
        href: href(item, to),
        at: item.at.into(),
        kind: words(&item.kind),
        line: to.privacy.text(&line(item)),
        more: more(item, to.privacy),
        is_pale: ["duplicate", "superseded", "obsolete"].contains(&outcome) || item.detail["status"] == "cancelled",
    }
}

/// Messages are pages of operators, cases of all.
fn href(item: &Item, to: &Shown<'_>) -> Option<String> {
    match item.kind.as_str() {
        "case" => Uuid::try_parse(&item.id).ok().map(|id| to.layout.url(&cases::page_of(id))),
        _ if item.rank == FACT && to.privacy.sees_all() => Some(format!("{}/facts/{}", to.path, item.id)),
        _ => None,
    }
}

fn line(item: &Item) -> String {
    let text = |name: &str| item.detail[name].as_str().unwrap_or_default();
    let outcome = words(text("outcome"));
    match item.kind.as_str() {
        "transition" => {
            let from = item.detail["from"].as_str().map_or_else(String::new, |from| format!("{} → ", words(from)));
            format!("{from}{} · {}", words(text("to")), words(text("event")))
        }
        "ticket" => format!("{} · {}", text("kind"), text("status")),
        "case" => format!("{} · {}", words(text("kind")), text("status")),
        "operator" => joined(&[&words(text("action")), &format!("by {}", text("who")), &outcome]),
        _ => {
            let failure = match text("failure") {
                "" => String::new(),
                class => format!("no answer: {}", words(class)),
            };
            joined(&[text("provider_status"), &failure, &words(text("status")), &outcome])
        }
    }
}

fn joined(parts: &[&str]) -> String {
    let mut parts: Vec<&str> = parts.iter().copied().filter(|it| !it.is_empty()).collect();
    parts.dedup();
    parts.join(" · ")
}

fn more(item: &Item, privacy: &Privacy) -> Vec<More> {
    let Some(fields) = item.detail.as_object() else { return Vec::new() };
    let is_said = |name: &str| {
        SAID.contains(&name)
            || match item.kind.as_str() {
                "operator" => ["who", "action"].contains(&name),
                "ticket" | "case" => name == "kind",
                "transition" => name == "event",
                _ => false,
            }
    };
    let attempts = fields.get("attempts").and_then(Value::as_array).map_or(0, Vec::len);
    let shown = fields.iter().filter(|(name, _)| !is_said(name));
    let shown = shown.filter_map(|(name, value)| {
        let at = value.as_str().and_then(|it| it.parse::<Time>().ok()).map(Moment::from);
        Some(More { name: words(name), value: text_for(item, name, value, privacy)?, at })
    });
    let attempts = (attempts > 0).then(|| More { name: "attempts".to_owned(), value: attempts.to_string(), at: None });
    shown.chain(attempts).collect()
}

/// A value as this person may see it. Both sides of a case, and a reason of the provider, are texts from outside.
fn text_for(item: &Item, name: &str, value: &Value, privacy: &Privacy) -> Option<String> {
    match name {
        "ours" | "theirs" => Some(privacy.text(&text_of(&shown(name, value, privacy))?)),
        "reason" if item.kind != "operator" => Some(privacy.free_text(&text_of(value)?)),
        _ => Some(privacy.text(&text_of(value)?)),
    }
}

/// A value as text. None: there is nothing to show.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|it| !it.is_empty()),
        Value::Number(number) => Some(number.to_string()).filter(|it| it != "0"),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(fields) if fields.is_empty() => None,
        other => Some(other.to_string()),
    }
}
