//! Settings that are missing, wrong, or do not go together: a line for each, and no secret in any.

use crate::support::evidence_key;
use crate::support::process::{Ended, Program};
use crate::support::service::ServiceBuilder;

pub const REQUIRED: [&str; 7] = [
    "API_TOKENS",
    "DATABASE_URL",
    "EVIDENCE_KEY",
    "HISTORY_KEY",
    "NEXUSBANK_API_KEY",
    "NEXUSBANK_BASE_URL",
    "NEXUSBANK_WEBHOOK_SECRETS",
];
pub const DURATIONS: [&str; 23] = [
    "ACK_TIMEOUT",
    "ARCHIVE_AFTER",
    "BACKOFF_BASE",
    "BACKOFF_CAP",
    "BURST_DEDUP_TTL",
    "CATCH_UP_OVERLAP",
    "CHARGE_WINDOW",
    "ESCALATE_AFTER",
    "IDEMPOTENCY_TTL",
    "INBOX_KEYS_FOR",
    "JIRA_INDEX_LAG",
    "KEEP_ALIVE",
    "LEASE_MARGIN",
    "PARKED_TTL",
    "POLL_SCHEDULE",
    "PROVIDER_TIMEOUT",
    "RECON_WINDOW",
    "RETRY_FOR",
    "SESSION_IDLE",
    "SESSION_MAX",
    "SETTLEMENT_WINDOW",
    "SHUTDOWN_GRACE",
    "WEBHOOK_TOLERANCE",
];
pub const NUMBERS: [&str; 8] = [
    "DATABASE_POOL",
    "INBOX_BACKLOG",
    "INGEST_QUEUE",
    "INGEST_QUEUE_BYTES",
    "MAX_ATTEMPTS",
    "POLL_BUDGET",
    "REPORT_MAX_BYTES",
    "WEBHOOK_MAX_BYTES",
];
pub const URLS: [&str; 4] = ["CARD_SERVICE_URL", "DASHBOARD_URL", "NEXUSBANK_BASE_URL", "PROFILE_SERVICE_URL"];
pub const ADDRESSES: [&str; 2] = ["INTERNAL_ADDR", "PUBLIC_ADDR"];
pub const WORDS: [&str; 8] = [
    "AMOUNT_TOLERANCE",
    "DASHBOARD",
    "DATABASE_SCHEMA",
    "LOG",
    "LOG_FORMAT",
    "POLL_JITTER",
    "PROVIDER_ROUTES",
    "RECON_HOLD",
];
/// Those that may be absent.
const OPTIONAL: [&str; 2] = ["PRICE_LIST", "REPORT_SCHEDULE"];
const SECRETS: [&str; 8] = [
    "API_TOKENS",
    "DATABASE_URL",
    "EVENT_SUBSCRIBERS",
    "EVIDENCE_KEY",
    "HISTORY_KEY",
    "MIGRATION_DATABASE_URL",
    "NEXUSBANK_API_KEY",
    "NEXUSBANK_WEBHOOK_SECRETS",
];

/// A `serve` that gets no further than its settings, unless they are right.
pub fn development() -> Program {
    ServiceBuilder::new().0
}

pub fn set(program: Program, names: &[&str], value: &str) -> Program {
    names.iter().fold(program, |program, name| program.env(name, value))
}

pub async fn refused(program: &Program) -> Ended {
    let ended = program.run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended
}

pub fn sorted<'a>(groups: &[&[&'a str]]) -> Vec<&'a str> {
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
        assert!(line.contains("missing") && line.contains("; expected "), "{line}");
    }
}

#[tokio::test]
async fn production_refuses_the_development_values_also_when_they_are_set() {
    let program = Program::new(&["serve"])
        .env("ENVIRONMENT", "production")
        .env("DATABASE_URL", "postgres://user@127.0.0.1:9/x")
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        .env("EVIDENCE_KEY", evidence_key())
        .env("API_TOKENS", "shop:a-token-of-our-own,developer:development-token:admin")
        .env("NEXUSBANK_API_KEY", "nexusbank-development-key")
        .env("NEXUSBANK_BASE_URL", "http://127.0.0.1:8090")
        .env("NEXUSBANK_WEBHOOK_SECRETS", "whsec_YWNjb3VudC1vcGVuaW5nLWRldmVsb3BtZW50");
    let ended = refused(&program).await;
    assert_eq!(
        ended.wrong_settings(),
        ["API_TOKENS", "NEXUSBANK_API_KEY", "NEXUSBANK_BASE_URL", "NEXUSBANK_WEBHOOK_SECRETS"]
    );
    assert!(!ended.stderr.contains("a-token-of-our-own"), "{}", ended.stderr);
}

#[tokio::test]
async fn every_wrong_setting_has_a_line_with_what_it_held_and_what_it_takes() {
    let not_secret = sorted(&[&DURATIONS, &NUMBERS, &URLS, &ADDRESSES, &WORDS, &OPTIONAL]);
    let ended = refused(&set(development(), &not_secret, "Non=sense=")).await;
    assert_eq!(ended.wrong_settings(), not_secret, "{}", ended.stderr);
    for name in not_secret {
        let line = ended.line_about(name);
        assert!(line.contains("invalid value \"Non=sense=\"; expected "), "{line}");
    }
}

#[tokio::test]
async fn numbers_and_durations_that_are_none_negative_zero_or_endless_are_refused() {
    let numeric = sorted(&[&DURATIONS, &NUMBERS]);
    for value in ["0", "0s", "-1", "", "1e3", "9999999999999999999999", "900000000000000d", "30m,,1h"] {
        let ended = refused(&set(development(), &numeric, value)).await;
        assert_eq!(ended.wrong_settings(), numeric, "{value:?}: {}", ended.stderr);
        assert!(
            ended.lines().iter().all(|line| line.contains(&format!("invalid value {value:?}"))),
            "{}",
            ended.stderr
        );
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
            assert!(line.contains("not shown") && line.contains("; expected "), "{line}");
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

/// The queue, metrics and REST tell sinks apart by their names.
#[tokio::test]
async fn two_sinks_of_one_name_are_refused_by_their_places_in_the_list() {
    let secret = "whsec_aHVzaC1odXNoLWh1c2gtaHVzaC1odXNo";
    let sinks = ["crm=http://a.example/x?token=hush", "http://b.example", "crm=http://u:hush@a.example/x"];
    let sinks: Vec<String> = sinks.iter().map(|url| format!("{url}|{secret}")).collect();
    let ended = refused(&development().env("EVENT_SUBSCRIBERS", sinks.join(","))).await;
    assert_eq!(ended.wrong_settings(), ["EVENT_SUBSCRIBERS"]);
    assert!(ended.stderr.contains("entries 1 and 3 have the same name crm"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hush") && !ended.stderr.contains(&secret[6..]), "{}", ended.stderr);
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
