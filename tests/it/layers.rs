//! The order of knowledge: which folder of `src` may use which.
//!
//! A folder that knows its users cannot be read, tested or replaced alone. So each stands in [`LAYERS`], and uses those further
//! down the list or beside it, never one above, and never in a circle. The test reads `crate::` and `super::` paths, outside
//! comments and unit tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// From those that know nothing to those that know everything.
const LAYERS: &[&[&str]] = &[
    &["clock", "csv", "settings", "token_bucket"],
    &["domain"],
    &["telemetry", "faults"],
    &["db"],
    &["driver", "group_commit"],
    &["outbound"],
    &["report_files"],
    &["provider", "services", "sinks"],
    &["config", "shell"],
    &["inbox", "outbox", "refused_webhooks", "context", "webhook_activity"],
    &["workers", "acts", "reconciliation"],
    &["http"],
    &["app"],
    &["cli"],
    &["lib", "main"],
];

/// A path that names something outside its own folder.
#[derive(Debug)]
struct Use {
    place: String,
    from: String,
    to: String,
}

/// Per folder the folders that it uses, and one place of each.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn no_folder_knows_its_users() {
    let wrong = |Use { place, from, to }: Use| match (layer(&from), layer(&to)) {
        (Some(lower), Some(upper)) if upper <= lower => None,
        (Some(_), Some(_)) => Some(format!("{place}: `{from}` may not use `{to}`, which stands above it")),
        _ => Some(format!("{place}: `{from}` or `{to}` stands in no layer")),
    };
    let wrong: Vec<String> = uses().into_iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "the order of knowledge is broken:\n{}", wrong.join("\n"));
}

#[test]
fn folders_use_each_other_in_no_circle() {
    let mut graph = Graph::new();
    for it in uses() {
        graph.entry(it.from).or_default().entry(it.to).or_insert(it.place);
    }
    // A folder in a circle uses another of it and is used by another.
    let is_outside = |graph: &Graph, it: &String| {
        let uses = graph[it].keys().any(|to| graph.contains_key(to));
        let is_used = graph.values().any(|to| to.contains_key(it));
        !(uses && is_used)
    };
    while let Some(outside) = graph.keys().find(|it| is_outside(&graph, it)).cloned() {
        graph.remove(&outside);
    }
    let folders: Vec<String> = graph.keys().cloned().collect();
    for to in graph.values_mut() {
        to.retain(|it, _| folders.contains(it));
    }
    assert!(graph.is_empty(), "folders in a circle, and where each uses the next: {graph:#?}");
}

/// An adapter is whole in its folder: nothing else is changed for the next one. Comments, examples and unit tests count too.
#[test]
fn nothing_outside_its_folder_names_a_provider_but_configuration() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let providers = src.join("provider").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let adapters = providers.filter(|path| path.join("settings.rs").exists());
    let names: Vec<String> = adapters.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(names.len() >= 4, "{names:?}");
    let mut wrong = Vec::new();
    for file in files(&src) {
        let place = file.strip_prefix(&src).unwrap().display().to_string();
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for name in names.iter().filter(|name| !may_name(&place, name)) {
            let names_it = |line: &str| line.to_lowercase().contains(name.as_str());
            // The port declares the adapter's folder.
            let is_declaration = |line: &str| place == "provider/mod.rs" && line == format!("pub mod {name};");
            let hits = text.lines().zip(1..).filter(|(line, _)| names_it(line) && !is_declaration(line));
            wrong.extend(hits.map(|(line, n)| format!("src/{place}:{n}: {}", line.trim())));
        }
    }
    assert!(wrong.is_empty(), "a provider is named outside its folder:\n{}", wrong.join("\n"));
}

fn may_name(place: &str, provider: &str) -> bool {
    let folder = format!("provider/{provider}/");
    [&folder, "config/", "config.rs"].iter().any(|it| place.starts_with(it))
}

fn layer(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&folder))
}

fn uses() -> Vec<Use> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 100, "{} files", files.len());
    files
        .iter()
        .flat_map(|file| uses_of(file.strip_prefix(&src).unwrap(), &std::fs::read_to_string(file).unwrap()))
        .collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, found): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    found.into_iter().chain(folders.iter().flat_map(|path| files(path))).collect()
}

/// The Rust files below a folder, without the unit tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let inner = folders.iter().filter(|path| !path.ends_with("tests")).flat_map(|path| sources(path));
    let is_source = |path: &PathBuf| path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs");
    files.into_iter().filter(is_source).chain(inner).collect()
}

/// The modules that a file uses outside its own folder.
fn uses_of(file: &Path, text: &str) -> Vec<Use> {
    let module = module_of(file);
    let from = module.first().cloned().unwrap_or_else(|| file.with_extension("").display().to_string());
    let mut uses = Vec::new();
    for (n, line) in code(text) {
        for path in paths(&line) {
            let to = roots(path, module.len());
            let others = to.into_iter().filter(|it| *it != from);
            uses.extend(others.map(|to| Use { place: format!("src/{}:{n}", file.display()), from: from.clone(), to }));
        }
    }
    uses
}

/// `db/inbox/mod.rs` is the module `db::inbox`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|it| ["mod", "lib", "main"].contains(&it.as_str())) {
        parts.pop();
    }
    parts
}

/// Statements and their lines: without comments, and up to the unit tests at the end of the file. A `use` of several lines is one.
fn code(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, without_texts(line)));
    let mut code: Vec<(usize, String)> = Vec::new();
    let (mut open, mut is_test) = (false, false);
    for (n, line) in lines {
        if is_test && line.starts_with("mod tests {") {
            break;
        }
        is_test = line == "#[cfg(test)]" || (is_test && line.starts_with("#["));
        match code.last_mut() {
            Some((_, statement)) if open => statement.push_str(line.trim()),
            _ => code.push((n, line)),
        }
        open = code.last().is_some_and(|(_, it)| {
            it.trim_start().trim_start_matches("pub ").starts_with("use ") && !it.ends_with(';')
        });
    }
    code
}

/// A line without its comment and the contents of its texts.
fn without_texts(line: &str) -> String {
    line.split("//").next().unwrap_or_default().split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// Everything in a statement that begins with `crate::`, `super::` or this crate's name.
fn paths(statement: &str) -> Vec<&str> {
    let starts = ["crate::", "super::", "account_opening::"].into_iter().flat_map(|root| statement.match_indices(root));
    let begins = |at: usize| !statement[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    starts.filter(|(at, _)| begins(*at)).map(|(at, _)| &statement[at..]).collect()
}

/// The top-level modules that a path names, seen from a module so many levels below the root.
fn roots(path: &str, depth: usize) -> Vec<String> {
    let mut rest = path;
    let mut up = 0;
    while let Some(after) = rest.strip_prefix("super::") {
        (rest, up) = (after, up + 1);
    }
    rest = rest.strip_prefix("crate::").or_else(|| rest.strip_prefix("account_opening::")).unwrap_or(rest);
    if up > 0 && up < depth {
        return Vec::new();
    }
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    match rest.strip_prefix('{') {
        None => vec![name(rest)],
        Some(group) => top_level(group).iter().map(|it| name(it.trim())).collect(),
    }
    .into_iter()
    .filter(|it| it.starts_with(char::is_lowercase))
    .collect()
}

/// The parts of a group that are not in a group within it.
fn top_level(group: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let found = |file: &str, text: &str| -> Vec<String> {
        uses_of(Path::new(file), text).into_iter().map(|it| format!("{} {}", it.place, it.to)).collect()
    };
    let text = "use crate::clock::Time;\nuse crate::{\n    app::{Parts, run},\n    db,\n};\n// crate::cli\nfn f() { crate::http::g() }";
    assert_eq!(
        found("db/inbox.rs", text),
        ["src/db/inbox.rs:1 clock", "src/db/inbox.rs:2 app", "src/db/inbox.rs:7 http"]
    );
    assert_eq!(found("db/inbox.rs", "use super::super::app::Parts;"), ["src/db/inbox.rs:1 app"]);
    assert_eq!(found("db/mod.rs", "use super::app::Parts;\nuse self::inbox::X;"), ["src/db/mod.rs:1 app"]);
    let none =
        ["use super::outbox::Row;", "/// See [`crate::app`].", "#[cfg(test)]\nmod tests {\n    use crate::app::X;\n}"];
    for text in none {
        assert_eq!(found("db/inbox.rs", text), [] as [String; 0], "{text}");
    }
    assert_eq!(found("main.rs", "use account_opening::cli;"), ["src/main.rs:1 cli"]);
}
