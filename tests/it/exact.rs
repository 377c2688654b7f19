//! Money is exact: fees and reconciliation name no floating point type, so none can round.

use std::path::{Path, PathBuf};

/// The Rust files below a folder, without the tests, whose samples hold such numbers as texts.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let inner = folders.iter().filter(|path| !path.ends_with("tests")).flat_map(|path| sources(path));
    let is_source = |path: &PathBuf| path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs");
    files.into_iter().filter(is_source).chain(inner).collect()
}

/// Whether a line of code names a float, also within a name such as `to_f64`, or holds a literal such as `0.5`.
fn names_a_float(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default().split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let is_name = |word: &str| ["f32", "f64", "float"].iter().any(|it| word.split('_').any(|part| part == *it));
    let digit = |it: Option<char>| it.is_some_and(|it| it.is_ascii_digit());
    let is_literal = |at: usize| digit(code[..at].chars().next_back()) && digit(code[at + 1..].chars().next());
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    // `pair.0.1` is a place, not a number.
    let is_place = |at: usize| code[..at].trim_end_matches(|c: char| c.is_ascii_digit()).ends_with('.');
    words.any(is_name) || code.match_indices('.').any(|(at, _)| is_literal(at) && !is_place(at))
}

/// The files of the tables that hold reports and money.
fn tables(db: &Path) -> Vec<PathBuf> {
    let words = ["report", "charge", "mismatch", "ledger", "price", "settlement", "bank_"];
    let below = |path: &PathBuf| path.strip_prefix(db).unwrap().display().to_string();
    sources(db).into_iter().filter(|path| words.iter().any(|it| below(path).contains(it))).collect()
}

#[test]
fn fees_and_reconciliation_name_no_float() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let domain = sources(&src.join("domain"));
    let fees: Vec<PathBuf> = domain.into_iter().filter(|it| it.display().to_string().contains("/domain/fee")).collect();
    let tables = tables(&src.join("db"));
    let parsers = sources(&src.join("report_files"));
    let files = [sources(&src.join("reconciliation")), parsers, fees.clone(), tables.clone()].concat();
    assert!(!fees.is_empty() && files.len() > 20, "{} files were looked at", files.len());
    for table in [
        "reports",
        "report_rows",
        "charge_lines",
        "settlements",
        "bank_words",
        "mismatches",
        "fee_ledger",
        "price_lists",
    ] {
        assert!(tables.iter().any(|it| it.display().to_string().contains(&format!("/db/{table}"))), "{table}");
    }
    let mut found = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| names_a_float(line));
        found.extend(lines.map(|(n, line)| format!("{}:{}: {}", file.display(), n + 1, line.trim())));
    }
    assert!(found.is_empty(), "not exact:\n{}", found.join("\n"));
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for line in ["let rate: f64 = x;", "amount.to_f64()", "x as f32", "let half = 0.5;", "Decimal::from_f64_retain(x)"]
    {
        assert!(names_a_float(line), "{line}");
    }
    for line in ["// f64", "let a = \"6.05\";", "pair.0.1", "0..5", "let buf32 = 1;", "rust_decimal::Decimal"] {
        assert!(!names_a_float(line), "{line}");
    }
}
