//! Values of settings that come of a slip: blanks, quotes, digits of another script, a password pasted in as it is. None is
//! taken for something else, and none is shown where it may be a secret.

use super::settings::{ADDRESSES, DURATIONS, NUMBERS, REQUIRED, URLS, WORDS, development, refused, set, sorted};
use crate::support::process::{Folder, Program, WITHIN, eventually};
use crate::support::service::ServiceBuilder;

/// G12: each would leave a service that says nothing any more, its errors included.
#[tokio::test]
async fn a_log_filter_that_would_silence_the_errors_is_refused_with_what_it_takes() {
    for filter in [
        "",
        " ",
        ",",
        "warning",
        "verbose",
        "trace2",
        "info,warning",
        "hyper=trace",
        "hyper",
        "info,hyper=",
        "info,=debug",
        "account_opening::driver=debug",
        "[request]=debug",
        "\u{661}",
        "\u{feff}info",
        "info;debug",
        "info debug",
        "a=b=c",
    ] {
        let ended = refused(&development().env("LOG", filter)).await;
        assert_eq!(ended.wrong_settings(), ["LOG"], "{filter:?}: {}", ended.stderr);
        let line = ended.line_about("LOG");
        assert!(["error", "warn", "info", "debug", "trace"].iter().all(|level| line.contains(level)), "{line}");
        let demo = refused(&Program::new(&["demo"]).env("DEMO_LOG", filter)).await;
        assert_eq!(demo.wrong_settings(), ["DEMO_LOG"], "{filter:?}: {}", demo.stderr);
    }
}

#[tokio::test]
async fn log_filters_that_leave_the_errors_are_taken_also_with_spaces_around_their_parts() {
    for filter in ["info", "ERROR", "off", "3", " info , hyper=trace ", "account_opening=debug", "info,[request]=trace"]
    {
        // So that it ends: the filter is not what is wrong.
        let ended = refused(&development().env("LOG", filter).env("LOG_FORMAT", "xml")).await;
        assert_eq!(ended.wrong_settings(), ["LOG_FORMAT"], "{filter:?}: {}", ended.stderr);
    }
}

/// G13: a password pasted in unescaped; no output may contain any of it, at any log level.
#[tokio::test]
async fn a_database_url_that_is_misread_or_has_parameters_that_are_none_is_refused_and_not_repeated() {
    for url in [
        "postgres://user:pa@hush?hush@127.0.0.1:9/x",
        "postgres://user:12#hush@127.0.0.1:9/x",
        "postgres://user:12/hush@127.0.0.1:9/x",
        "postgres://user:hush/hush@127.0.0.1:9/x",
        "postgres://user:hush@127.0.0.1:9/x/hush",
        "postgres://user:hush@127.0.0.1:9/x#hush",
        "postgres://user@127.0.0.1:9/x?sslpassword=hush",
        "postgres://user@127.0.0.1:9/x?sslmode=disable&hush=1",
        "postgres://user@127.0.0.1:9/x?sslmode=hush",
        "postgres://user@127.0.0.1:9/x?application_name=a@hush",
        "postgres://user@127.0.0.1:9/x?options[hush=hush",
        "postgres://user:hush\u{7}@127.0.0.1:9/x",
        "postgres://user:hu sh@127.0.0.1:9/x",
    ] {
        for name in ["DATABASE_URL", "MIGRATION_DATABASE_URL"] {
            let ended = refused(&development().env(name, url).env("LOG", "trace")).await;
            assert_eq!(ended.wrong_settings(), [name], "{url}: {}", ended.stderr);
            let line = ended.line_about(name);
            assert!(line.contains("not shown") && line.contains("; expected ") && !line.contains("hush"), "{line}");
        }
    }
}

/// G13: neither does a library say what it finds in the password file.
#[tokio::test]
async fn a_password_file_that_cannot_be_read_is_not_logged() {
    use std::os::unix::fs::OpenOptionsExt;
    let program = ServiceBuilder::new().env("LOG", "trace").env("DATABASE_URL", "postgres://user@127.0.0.1:9/x").0;
    let folder = Folder::new();
    let file = folder.path().join("pgpass");
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file);
    std::io::Write::write_all(&mut opened.unwrap(), b"127.0.0.1;9;x;user;hush\n").unwrap();
    let process = program.env("PGPASSFILE", file.display().to_string()).spawn();
    let waits = async || process.stderr().contains("does not answer; retrying").then_some(());
    eventually("it tries to connect", WITHIN, waits).await;
    assert!(!process.stderr().contains("hush"), "{}", process.stderr());
}

/// Values that come of a slip: no value, blanks, other digits, a byte-order mark, quotes that were meant for a shell.
#[tokio::test]
async fn odd_values_of_every_setting_are_refused_or_count_as_none() {
    let everything = [&DURATIONS[..], &NUMBERS, &MORE_NUMBERS, &URLS, &ADDRESSES, &WORDS, &MORE_WORDS];
    let all = sorted(&everything);
    for value in [
        "",
        " \t",
        "\u{a0}",
        "\u{661}\u{662}",
        "\u{feff}1",
        "'1'",
        "\"30m\"",
        "-1",
        "1e400",
        "0x10",
        "1_000",
        "\u{221e}",
    ] {
        let ended = refused(&set(development(), &all, value)).await;
        // The type of an issue is a name of the tracker's, in its own script.
        let is_a_name = !value.trim().is_empty();
        let wrong: Vec<&str> = all.iter().copied().filter(|it| !(is_a_name && *it == "JIRA_ISSUE_TYPE")).collect();
        assert_eq!(ended.wrong_settings(), wrong, "{value:?}: {}", ended.stderr);
        for line in ended.lines() {
            assert!(line.contains("; expected "), "{value:?}: {line}");
        }
    }
    // An optional setting is absent when it is empty or blank; any other value is read.
    let optional = [
        "DATABASE_URL",
        "MIGRATION_DATABASE_URL",
        "EVIDENCE_KEY",
        "HISTORY_KEY",
        "DATA_DIR",
        "PG_BIN_DIR",
        "PRICE_LIST",
        "REPORT_SCHEDULE",
        "EVENT_SUBSCRIBERS",
    ];
    let optional = sorted(&[&optional, &TRACKER]);
    for value in ["", "  "] {
        let ended = refused(&set(development(), &optional, value).env("LOG_FORMAT", "xml")).await;
        assert_eq!(ended.wrong_settings(), ["LOG_FORMAT"], "{value:?}: {}", ended.stderr);
        let ended = refused(&set(Program::new(&["serve"]), &REQUIRED, value)).await;
        assert_eq!(ended.wrong_settings(), REQUIRED, "{value:?}: {}", ended.stderr);
    }
}

const TRACKER: [&str; 4] = ["JIRA_API_TOKEN", "JIRA_BASE_URL", "JIRA_EMAIL", "JIRA_PROJECT_KEY"];
const MORE_NUMBERS: [&str; 4] = ["BREAKER_FAILURES", "BREAKER_PROBES", "PROVIDER_CONCURRENCY", "REJECTED_MAX_BYTES"];
const MORE_WORDS: [&str; 3] = ["CLOCK_OFFSET", "ENVIRONMENT", "JIRA_ISSUE_TYPE"];

#[tokio::test]
async fn a_schedule_of_pulls_names_known_providers_once_and_possible_periods() {
    for schedule in [
        "24h",
        "nexusbank",
        "nexusbank=",
        "nexusbank=0s",
        "nexusbank=59s",
        "nexusbank=367d",
        "nexusbank=-1h",
        "nexusbank=daily",
        "nexusbank=24h,",
        "nexusbank=24h,nexusbank=12h",
        "stranger=24h",
        "=24h",
    ] {
        let ended = refused(&development().env("REPORT_SCHEDULE", schedule)).await;
        assert_eq!(ended.wrong_settings(), ["REPORT_SCHEDULE"], "{schedule}: {}", ended.stderr);
        let line = ended.line_about("REPORT_SCHEDULE");
        let takes = ["provider=period", "nexusbank=24h", "each provider once", "from 1m to 366d"];
        assert!(line.contains(schedule) && takes.iter().all(|it| line.contains(it)), "{line}");
    }
    for schedule in ["nexusbank=24h", " nexusbank = 1m ", "nexusbank=1d 12h"] {
        let ended = refused(&development().env("REPORT_SCHEDULE", schedule).env("LOG_FORMAT", "xml")).await;
        assert_eq!(ended.wrong_settings(), ["LOG_FORMAT"], "{schedule}: {}", ended.stderr);
    }
}

/// Names that Postgres keeps for itself.
#[tokio::test]
async fn a_schema_that_belongs_to_postgres_is_refused() {
    for schema in ["pg_catalog", "pg_temp", "pg_cell", "information_schema"] {
        let ended = refused(&development().env("DATABASE_SCHEMA", schema)).await;
        assert_eq!(ended.wrong_settings(), ["DATABASE_SCHEMA"], "{schema}: {}", ended.stderr);
    }
}

/// A password may stand in any URL.
#[tokio::test]
async fn a_wrong_url_with_a_password_in_it_is_not_repeated() {
    let ended = refused(&set(development(), &URLS, "https://user:hush-hush@acme.example:port/")).await;
    assert_eq!(ended.wrong_settings(), URLS, "{}", ended.stderr);
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
}

/// Where a path is added to it, what stands behind the path is lost; where a line ends in it, it is another than it looks.
#[tokio::test]
async fn a_base_url_with_a_query_a_fragment_or_blanks_in_it_is_refused() {
    for url in
        ["https://acme.example/?a=1", "https://acme.example/#a", "https://ac me.example/", "https://acme\n.example"]
    {
        let ended = refused(&set(development(), &URLS, url)).await;
        assert_eq!(ended.wrong_settings(), URLS, "{url:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn switches_of_the_demo_and_the_verifier_take_true_and_false_and_nothing_else() {
    for (command, name) in
        [("demo", "EXIT"), ("demo", "JSON"), ("verify-history", "JSON"), ("simulator", "SIMULATOR_FAULTS")]
    {
        for value in ["maybe", "2", "\u{661}"] {
            let ended = Program::new(&[command]).env(name, value).run().await;
            assert_eq!(ended.code(), Some(2), "{command} {name}={value}: {}", ended.stderr);
            assert!(ended.stderr.to_uppercase().contains(name) && ended.stderr.contains("true"), "{}", ended.stderr);
        }
    }
    for (name, value) in [("OPENINGS", "\u{661}"), ("OPENINGS", ""), ("SEED", "-1"), ("SEED", " ")] {
        let ended = Program::new(&["demo"]).env(name, value).run().await;
        assert!(ended.code() == Some(2) && ended.stderr.contains(name), "{value:?}: {}", ended.stderr);
    }
}
