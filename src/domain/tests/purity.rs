//! The domain does no I/O and reads no clock and no randomness: its sources name nothing that could.

use std::path::{Path, PathBuf};

/// Names that no line of the domain may hold, outside comments.
const FORBIDDEN: [&str; 4] = [
    // Crates that do I/O, keep state or report to the outside.
    "axum clap futures hyper indicatif metrics moka nix reqwest rustls sqlx tempfile tokio tower tower_http tracing",
    // The standard library's ways out.
    "env fs io net process thread print println eprintln dbg",
    // Clocks, ids and randomness: they are arguments.
    "Clock Ids Instant Local SystemTime elapsed getrandom new_v4 new_v7 now_v7 rand random",
    // Sources of nondeterminism.
    "HashMap HashSet RandomState async await unsafe",
];

/// Paths that are forbidden where their parts are not.
const FORBIDDEN_PATHS: &[&str] = &["Utc::now", "Time::now", "crate::app", "crate::db", "crate::http", "crate::workers"];

fn forbidden() -> impl Iterator<Item = &'static str> {
    FORBIDDEN.iter().flat_map(|names| names.split(' '))
}

/// The forbidden name in a line of code. Comments and texts may contain any name.
fn offence(line: &str) -> Option<&'static str> {
    let code: String =
        line.split("//").next().unwrap_or_default().split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    let path = FORBIDDEN_PATHS.iter().find(|path| code.contains(**path));
    path.copied().or_else(|| words.find_map(|word| forbidden().find(|it| *it == word)))
}

/// The Rust files below a folder, without the tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let inner = folders.iter().filter(|path| !path.ends_with("tests")).flat_map(|path| sources(path));
    files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs")).chain(inner).collect()
}

#[test]
fn the_domain_names_no_io_no_clock_and_no_randomness() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    let files = sources(&folder);
    for known in ["decide.rs", "decide/draft.rs", "decide/report.rs", "opening.rs", "chain.rs", "retry.rs"] {
        assert!(files.contains(&folder.join(known)), "{known} was not looked at");
    }
    let mut found = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        for (n, line) in text.lines().enumerate() {
            found.extend(offence(line).map(|name| format!("{}:{}: {name}: {}", file.display(), n + 1, line.trim())));
        }
    }
    assert!(found.is_empty(), "not pure:\n{}", found.join("\n"));
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for line in [
        "use sqlx::PgConnection;",
        "    let rows = std::fs::read(path); // for now",
        "let now = chrono::Utc::now();",
        "use std::{fmt, net::TcpStream};",
        "tracing::info!(\"done\");",
        "let id = Uuid::now_v7();",
        "pub fn decide(clock: &Clock) {}",
        "let jitter = rand::random::<f64>();",
        "use crate::db::openings;",
        "let seen: HashMap<u8, u8> = HashMap::new();",
    ] {
        assert!(offence(line).is_some(), "{line}");
    }
    for line in [
        "/// Its class, for people and metrics.",
        "use crate::clock::Time;",
        "let brand = operand + random_part;",
        "draft.ticket(kind, \"the net is down, tokio or not\".to_owned());",
        "pub fn decide(now: Time) -> Decision {",
    ] {
        assert_eq!(offence(line), None, "{line}");
    }
}
