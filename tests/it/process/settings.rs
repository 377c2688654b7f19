//! Settings that are missing, wrong, or do not go together: a line for each, and no secret in any.

use crate::support::process::{Ended, Program};
use crate::support::service::ServiceBuilder;

const REQUIRED: [&str; 5] =
    ["API_TOKENS", "DATABASE_URL", "HISTORY_KEY", "NEXUSBANK_API_KEY", "NEXUSBANK_WEBHOOK_SECRETS"];
const DURATIONS: [&str; 18] = [
    "ACK_TIMEOUT",
    "ARCHIVE_AFTER",
    "BACKOFF_BASE",
    "BACKOFF_CAP",
    "BURST_DEDUP_TTL",
    "CATCH_UP_OVERLAP",
    "ESCALATE_AFTER",
    "IDEMPOTENCY_TTL",
    "INBOX_KEYS_FOR",
    "JIRA_INDEX_LAG",
    "KEEP_ALIVE",
    "LEASE_MARGIN",
    "PARKED_TTL",
    "POLL_SCHEDULE",
    "PROVIDER_TIMEOUT",
    "RETRY_FOR",
    "SHUTDOWN_GRACE",
    "WEBHOOK_TOLERANCE",
];
const NUMBERS: [&str; 7] = [
    "DATABASE_POOL",
    "INBOX_BACKLOG",
    "INGEST_QUEUE",
    "INGEST_QUEUE_BYTES",
    "MAX_ATTEMPTS",
    "POLL_BUDGET",
    "WEBHOOK_MAX_BYTES",
];
const URLS: [&str; 4] = ["CARD_SERVICE_URL", "DASHBOARD_URL", "NEXUSBANK_BASE_URL", "PROFILE_SERVICE_URL"];
const ADDRESSES: [&str; 2] = ["INTERNAL_ADDR", "PUBLIC_ADDR"];
const WORDS: [&str; 4] = ["DATABASE_SCHEMA", "LOG", "LOG_FORMAT", "POLL_JITTER"];
const SECRETS: [&str; 7] = [
    "API_TOKENS",
    "DATABASE_URL",
    "EVENT_SUBSCRIBERS",
    "HISTORY_KEY",
    "MIGRATION_DATABASE_URL",
    "NEXUSBANK_API_KEY",
    "NEXUSBANK_WEBHOOK_SECRETS",
];

/// A `serve` that gets no further than its settings, unless they are right.
fn development() -> Program {
    ServiceBuilder::new().0
}

fn set(program: Program, names: &[&str], value: &str) -> Program {
    names.iter().fold(program, |program, name| program.env(name, value))
}

async fn refused(program: &Program) -> Ended {
    let ended = program.run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended
}

fn sorted<'a>(groups: &[&[&'a str]]) -> Vec<&'a str> {
    let mut names = groups.concat();
    names.sort_unstable();
    names.dedup();
    names
}

#[tokio::test]
async fn production_is_the_default_and_says_one_line_for_each_setting_that_is_missing() {
    let ended = refused(&Program::new(&["serve"])).await;
    assert_eq!(ended.wrong_settings(), REQUIRED, "{}", ended.stderr);
    for name in REQUIRED {
        let line = ended.line_about(name);
        assert!(line.contains("missing") && line.contains("it takes"), "{line}");
    }
}

#[tokio::test]
async fn production_refuses_the_development_values_also_when_they_are_set() {
    let program = Program::new(&["serve"])
        .env("ENVIRONMENT", "production")
        .env("DATABASE_URL", "postgres://user@127.0.0.1:9/x")
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        .env("API_TOKENS", "shop:a-token-of-our-own,developer:development-token:admin")
        .env("NEXUSBANK_API_KEY", "nexusbank-development-key")
        .env("NEXUSBANK_WEBHOOK_SECRETS", "whsec_YWNjb3VudC1vcGVuaW5nLWRldmVsb3BtZW50");
    let ended = refused(&program).await;
    assert_eq!(ended.wrong_settings(), ["API_TOKENS", "NEXUSBANK_API_KEY", "NEXUSBANK_WEBHOOK_SECRETS"]);
    assert!(!ended.stderr.contains("a-token-of-our-own"), "{}", ended.stderr);
}

#[tokio::test]
async fn every_wrong_setting_has_a_line_with_what_it_held_and_what_it_takes() {
    let not_secret = sorted(&[&DURATIONS, &NUMBERS, &URLS, &ADDRESSES, &WORDS]);
    let ended = refused(&set(development(), &not_secret, "Non=sense=")).await;
    assert_eq!(ended.wrong_settings(), not_secret, "{}", ended.stderr);
    for name in not_secret {
        let line = ended.line_about(name);
        assert!(line.contains("held \"Non=sense=\"; it takes "), "{line}");
    }
}

#[tokio::test]
async fn numbers_and_durations_that_are_none_negative_zero_or_endless_are_refused() {
    let numeric = sorted(&[&DURATIONS, &NUMBERS]);
    for value in ["0", "0s", "-1", "", "1e3", "9999999999999999999999", "900000000000000d", "30m,,1h"] {
        let ended = refused(&set(development(), &numeric, value)).await;
        assert_eq!(ended.wrong_settings(), numeric, "{value:?}: {}", ended.stderr);
        assert!(ended.lines().iter().all(|line| line.contains(&format!("held {value:?}"))), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn addresses_and_urls_that_are_none_are_refused() {
    let places = sorted(&[&URLS, &ADDRESSES]);
    for value in ["localhost", "127.0.0.1:99999", "ftp://127.0.0.1:21", "http://", "/"] {
        let ended = refused(&set(development(), &places, value)).await;
        assert_eq!(ended.wrong_settings(), places, "{value:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_wrong_secret_has_a_line_too_and_is_nowhere_in_the_output() {
    for value in ["hush \u{fc}", "mysql://hush:hush@hush/hush", "whsec_hush=hush", "hush|hush", "hush:hush-hush:hush"] {
        let ended = refused(&set(development(), &SECRETS, value)).await;
        assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
        for line in ended.lines() {
            assert!(line.contains("not shown") && line.contains("it takes"), "{line}");
        }
        // A bearer key is any visible ASCII.
        let wrong: Vec<&str> = SECRETS.into_iter().filter(|name| !fits(name, value)).collect();
        assert_eq!(ended.wrong_settings(), wrong, "{value}: {}", ended.stderr);
    }
}

fn fits(secret: &str, value: &str) -> bool {
    secret == "NEXUSBANK_API_KEY" && !value.contains(' ')
}

#[tokio::test]
async fn a_wrong_environment_is_named_with_the_words_that_it_takes() {
    let ended = refused(&development().env("ENVIRONMENT", "prod")).await;
    let line = ended.line_about("ENVIRONMENT");
    for word in ["\"prod\"", "production", "staging", "sandbox", "development"] {
        assert!(line.contains(word), "{line}");
    }
}

#[tokio::test]
async fn settings_that_do_not_go_together_are_refused() {
    for (settings, wrong, says) in [
        (
            &[("SHUTDOWN_GRACE", "14999ms"), ("PROVIDER_TIMEOUT", "10s")] as &[_],
            "SHUTDOWN_GRACE",
            "PROVIDER_TIMEOUT + 5s",
        ),
        (&[("BACKOFF_BASE", "10s"), ("BACKOFF_CAP", "9s")], "BACKOFF_CAP", "BACKOFF_BASE"),
        (
            &[("WEBHOOK_MAX_BYTES", "262144"), ("INGEST_QUEUE_BYTES", "262143")],
            "INGEST_QUEUE_BYTES",
            "WEBHOOK_MAX_BYTES",
        ),
        (&[("ARCHIVE_AFTER", "91d")], "INBOX_KEYS_FOR", "at least ARCHIVE_AFTER = 91d"),
        (&[("INBOX_KEYS_FOR", "29d")], "INBOX_KEYS_FOR", "at least 30days"),
        (&[("PUBLIC_ADDR", "127.0.0.1:8099"), ("INTERNAL_ADDR", "127.0.0.1:8099")], "INTERNAL_ADDR", "PUBLIC_ADDR"),
    ] {
        let program = settings.iter().fold(development(), |program, (name, value)| program.env(name, *value));
        let ended = refused(&program).await;
        assert_eq!(ended.wrong_settings(), [wrong], "{}", ended.stderr);
        assert!(ended.line_about(wrong).contains(says), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_setting_that_is_right_has_no_line_because_its_neighbour_is_wrong() {
    let program = development()
        .env("PROVIDER_TIMEOUT", "soon")
        .env("SHUTDOWN_GRACE", "5100ms")
        .env("BACKOFF_BASE", "soon")
        .env("BACKOFF_CAP", "500ms")
        .env("ARCHIVE_AFTER", "soon")
        .env("INBOX_KEYS_FOR", "30d");
    let ended = refused(&program).await;
    assert_eq!(ended.wrong_settings(), ["ARCHIVE_AFTER", "BACKOFF_BASE", "PROVIDER_TIMEOUT"], "{}", ended.stderr);
}

#[tokio::test]
async fn a_wrong_option_has_the_same_line_as_the_wrong_variable() {
    for (option, variable, value) in [
        ("--poll-schedule", "POLL_SCHEDULE", "soon"),
        ("--public-addr", "PUBLIC_ADDR", "here"),
        ("--api-tokens", "API_TOKENS", "hush"),
        ("--max-attempts", "MAX_ATTEMPTS", "many"),
    ] {
        let by_option = Program::new(&["serve", option, value]).env("ENVIRONMENT", "development");
        let by_variable = Program::new(&["serve"]).env("ENVIRONMENT", "development").env(variable, value);
        let (one, other) = (refused(&by_option).await, refused(&by_variable).await);
        assert_eq!(one.stderr, other.stderr);
        assert_eq!(one.wrong_settings(), [variable], "{}", one.stderr);
    }
}

#[tokio::test]
async fn an_option_wins_over_its_variable() {
    let program = Program::new(&["serve", "--log-format", "xml"]).env("ENVIRONMENT", "development");
    let ended = refused(&program.env("LOG_FORMAT", "yaml")).await;
    assert!(ended.line_about("LOG_FORMAT").contains("xml"), "{}", ended.stderr);
}

#[tokio::test]
async fn wrong_settings_of_migrate_and_of_the_simulator_have_their_lines_too() {
    let migrate = Program::new(&["migrate"]).env("DATABASE_URL", "hush").env("DATABASE_SCHEMA", "a-b");
    let ended = refused(&migrate.env("DATABASE_POOL", "0")).await;
    assert_eq!(ended.wrong_settings(), ["DATABASE_POOL", "DATABASE_SCHEMA", "DATABASE_URL"], "{}", ended.stderr);

    let names = ["SIMULATOR_ADDR", "SIMULATOR_FAULTS", "SIMULATOR_JIRA_LAG", "SIMULATOR_SEED", "WEBHOOK_URL"];
    let simulator = set(Program::new(&["simulator"]), &names, "maybe");
    let ended = refused(&simulator.env("NEXUSBANK_WEBHOOK_SECRETS", "hush").env("NEXUSBANK_API_KEY", "")).await;
    let all = sorted(&[&names, &["NEXUSBANK_API_KEY", "NEXUSBANK_WEBHOOK_SECRETS"]]);
    assert_eq!(ended.wrong_settings(), all, "{}", ended.stderr);
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_tracker_is_configured_whole_or_not_at_all() {
    let all = ["JIRA_API_TOKEN", "JIRA_BASE_URL", "JIRA_EMAIL", "JIRA_PROJECT_KEY"];
    let values = ["hush-hush", "https://acme.atlassian.net", "bot@acme.example", "OPS"];
    for given in 0..all.len() {
        let ended = refused(&development().env(all[given], values[given])).await;
        let missing: Vec<&str> = all.into_iter().filter(|name| *name != all[given]).collect();
        assert_eq!(ended.wrong_settings(), missing, "{}", ended.stderr);
        for name in missing {
            let line = ended.line_about(name);
            assert!(line.contains("missing") && line.contains(all[given]), "{line}");
        }
        assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    }
    let wrong = set(development(), &all, "hush \u{fc}");
    let ended = refused(&wrong).await;
    assert_eq!(ended.wrong_settings(), all, "{}", ended.stderr);
    for secret in ["JIRA_API_TOKEN", "JIRA_EMAIL"] {
        assert!(ended.line_about(secret).contains("not shown"), "{}", ended.stderr);
    }
}

/// A clock that is wrong on purpose is for tests with faults.
#[tokio::test]
async fn production_refuses_a_clock_that_is_made_wrong() {
    let program = set(development(), &["ENVIRONMENT"], "production").env("CLOCK_OFFSET", "-3s");
    let ended = refused(&program).await;
    assert!(ended.line_about("CLOCK_OFFSET").contains("-3s"), "{}", ended.stderr);
    let ended = refused(&development().env("CLOCK_OFFSET", "soon")).await;
    assert_eq!(ended.wrong_settings(), ["CLOCK_OFFSET"]);
}

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
        "account_opening::workers=debug",
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

/// G13: a password that was pasted in as it is; none of it may be in any output, whatever is logged.
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
            assert!(line.contains("not shown") && line.contains("it takes") && !line.contains("hush"), "{line}");
        }
    }
}

/// G13: neither does a library say what it finds in the password file.
#[tokio::test]
async fn a_password_file_that_cannot_be_read_is_not_logged() {
    use std::os::unix::fs::OpenOptionsExt;
    let program = ServiceBuilder::new().env("LOG", "trace").env("DATABASE_URL", "postgres://user@127.0.0.1:9/x").0;
    let folder = crate::support::process::Folder::new();
    let file = folder.path().join("pgpass");
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file);
    std::io::Write::write_all(&mut opened.unwrap(), b"127.0.0.1;9;x;user;hush\n").unwrap();
    let process = program.env("PGPASSFILE", file.display().to_string()).spawn();
    let waits = async || process.stderr().contains("does not answer yet").then_some(());
    crate::support::process::eventually("it tries to connect", crate::support::process::WITHIN, waits).await;
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
            assert!(line.contains("it takes"), "{value:?}: {line}");
        }
    }
    // What may be absent is absent when it is empty or blank; anything else is read.
    let optional =
        ["DATABASE_URL", "MIGRATION_DATABASE_URL", "HISTORY_KEY", "DATA_DIR", "PG_BIN_DIR", "EVENT_SUBSCRIBERS"];
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
