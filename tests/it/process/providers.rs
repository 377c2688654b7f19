//! Settings of providers: a bank is configured whole or not at all, and a route to one that is not there is an error.

use super::settings::{development, refused, sorted};
use crate::support::evidence_key;
use crate::support::process::Program;

const SOLARIS: [(&str, &str); 5] = [
    ("SOLARIS_BASE_URL", "https://api.solaris-sandbox.de"),
    ("SOLARIS_TOKEN_URL", "https://auth.solaris-sandbox.de/oauth2/token"),
    ("SOLARIS_CLIENT_ID", "partner"),
    ("SOLARIS_CLIENT_SECRET", "hush-hush"),
    ("SOLARIS_BICS", "DE=SOBKDEB2XXX"),
];
const AIRWALLEX: [(&str, &str); 4] = [
    ("AIRWALLEX_BASE_URL", "https://api-demo.airwallex.com"),
    ("AIRWALLEX_CLIENT_ID", "client"),
    ("AIRWALLEX_API_KEY", "hush-hush"),
    ("AIRWALLEX_WEBHOOK_SECRETS", "whsec_hush"),
];
const ADYEN: [(&str, &str); 5] = [
    ("ADYEN_BASE_URL", "https://balanceplatform-api-test.adyen.com/bcl/v2"),
    ("ADYEN_API_KEY", "hush-hush"),
    ("ADYEN_HMAC_KEYS", "00ff"),
    ("ADYEN_BICS", "NL=ADYBNL2A"),
    ("ADYEN_ENVIRONMENT", "test"),
];

const BANKS: [(&str, &[(&str, &str)]); 3] = [("solaris", &SOLARIS), ("airwallex", &AIRWALLEX), ("adyen", &ADYEN)];

fn with(program: Program, settings: &[(&str, &str)]) -> Program {
    settings.iter().fold(program, |program, (name, value)| program.env(name, *value))
}

fn names(settings: &[(&'static str, &str)]) -> Vec<&'static str> {
    let names: Vec<&str> = settings.iter().map(|(name, _)| *name).collect();
    sorted(&[&names])
}

/// A setting with a wrong value, so that a program whose other settings are right ends too.
const WRONG: (&str, &str) = ("LOG_FORMAT", "xml");

#[tokio::test]
async fn a_bank_is_configured_whole_or_not_at_all() {
    for (bank, settings) in BANKS {
        for given in settings {
            let others: Vec<_> = settings.iter().filter(|it| *it != given).copied().collect();
            let ended = refused(&with(development(), &[*given])).await;
            assert_eq!(ended.wrong_settings(), names(&others), "{}", ended.stderr);
            assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
            let empty = refused(&with(development(), settings).env(given.0, " ")).await;
            assert_eq!(empty.wrong_settings(), [given.0], "{}", empty.stderr);
            assert!(empty.line_about(given.0).contains("missing"), "{}", empty.stderr);
        }
        let routed = refused(&development().env("PROVIDER_ROUTES", format!("*={bank}"))).await;
        assert_eq!(routed.wrong_settings(), names(settings), "{}", routed.stderr);
        let whole = refused(&with(development(), settings).env(WRONG.0, WRONG.1)).await;
        assert_eq!(whole.wrong_settings(), [WRONG.0], "{}", whole.stderr);
        let limit = format!("{}_POLL_BUDGET", bank.to_uppercase());
        let partly = refused(&development().env(&limit, "60")).await;
        assert_eq!(partly.wrong_settings(), names(settings), "{}", partly.stderr);
    }
}

#[tokio::test]
async fn a_wrong_value_has_its_line_and_a_secret_is_not_shown() {
    for (name, value) in [
        ("SOLARIS_BASE_URL", "ftp://x"),
        ("SOLARIS_TOKEN_URL", "here"),
        ("SOLARIS_BICS", "BE=SOBKDEB2XXX"),
        ("SOLARIS_BICS", "DE=SOBK"),
        ("SOLARIS_CLIENT_SECRET", "hush \u{fc}"),
        ("SOLARIS_WEBHOOK_SECRETS", "hush,,hush"),
        ("SOLARIS_POLL_SCHEDULE", "soon"),
        ("SOLARIS_ESCALATE_AFTER", "0s"),
        ("SOLARIS_POLL_BUDGET", "0"),
        ("SOLARIS_CONCURRENCY", "0"),
        ("AIRWALLEX_ON_BEHALF_OF", "someone"),
        ("AIRWALLEX_WEBHOOK_TOLERANCE", "-1s"),
        ("AIRWALLEX_WEBHOOK_SECRETS", "hush hush"),
        ("ADYEN_HMAC_KEYS", "hush"),
        ("ADYEN_ENVIRONMENT", "staging"),
        ("ADYEN_BICS", "US=CHASUS33"),
        ("NEXUSBANK_POLL_SCHEDULE", "30m,,1h"),
        ("NEXUSBANK_CONCURRENCY", "many"),
    ] {
        let program = BANKS.iter().fold(development(), |program, (_, settings)| with(program, settings));
        let ended = refused(&program.env(name, value)).await;
        assert_eq!(ended.wrong_settings(), [name], "{value}: {}", ended.stderr);
        assert!(ended.line_about(name).contains("; expected "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn routes_name_a_scope_once_and_only_markets_that_their_bank_serves() {
    for (routes, says) in [
        ("*=solaris,*=nexusbank", "each scope once"),
        ("DE=somebank", "solaris"),
        ("de=solaris", "a market"),
        ("IT=solaris", "IT"),
        ("US=airwallex", "US"),
        ("DE:company=adyen", "DE"),
    ] {
        let program = BANKS.iter().fold(development(), |program, (_, settings)| with(program, settings));
        let ended = refused(&program.env("PROVIDER_ROUTES", routes)).await;
        assert_eq!(ended.wrong_settings(), ["PROVIDER_ROUTES"], "{routes}: {}", ended.stderr);
        assert!(ended.line_about("PROVIDER_ROUTES").contains(says), "{routes}: {}", ended.stderr);
    }
    // A rule for all markets leaves those that the bank does not serve to a refusal of the request.
    let program = BANKS.iter().fold(development(), |program, (_, settings)| with(program, settings));
    let ended = refused(&program.env("PROVIDER_ROUTES", "*=solaris,NL=adyen").env(WRONG.0, WRONG.1)).await;
    assert_eq!(ended.wrong_settings(), [WRONG.0], "{}", ended.stderr);
}

fn production() -> Program {
    Program::new(&["serve"])
        .env("DATABASE_URL", "postgres://user@127.0.0.1:9/x")
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        .env("EVIDENCE_KEY", evidence_key())
        .env("API_TOKENS", "shop:a-token-of-our-own")
        .env(WRONG.0, WRONG.1)
}

/// The default bank needs its secrets in production only where a route leads to it, or one of them is set.
#[tokio::test]
async fn production_wants_no_secrets_of_a_bank_that_is_neither_routed_nor_set() {
    let live = [
        ("SOLARIS_BASE_URL", "https://api.solarisbank.de"),
        ("SOLARIS_TOKEN_URL", "https://auth.solarisbank.de/oauth2/token"),
        ("PROVIDER_ROUTES", "*=solaris"),
    ];
    let program = with(with(production(), &SOLARIS), &live);
    let ended = refused(&program).await;
    assert_eq!(ended.wrong_settings(), [WRONG.0], "{}", ended.stderr);
    let ended = refused(&program.env("NEXUSBANK_BASE_URL", "https://bank.example")).await;
    let expected = [WRONG.0, "NEXUSBANK_API_KEY", "NEXUSBANK_WEBHOOK_SECRETS"];
    assert_eq!(ended.wrong_settings(), expected, "{}", ended.stderr);
}

#[tokio::test]
async fn production_refuses_the_hosts_of_sandboxes() {
    let own = [
        ("NEXUSBANK_BASE_URL", "https://bank.example"),
        ("NEXUSBANK_API_KEY", "a-key-of-our-own"),
        ("NEXUSBANK_WEBHOOK_SECRETS", "whsec_b3VyLW93bi1zZWNyZXQtb2YtMjQ="),
    ];
    let program = BANKS.iter().fold(with(production(), &own), |program, (_, settings)| with(program, settings));
    let ended = refused(&program).await;
    let expected =
        ["ADYEN_BASE_URL", "ADYEN_ENVIRONMENT", "AIRWALLEX_BASE_URL", WRONG.0, "SOLARIS_BASE_URL", "SOLARIS_TOKEN_URL"];
    assert_eq!(ended.wrong_settings(), expected, "{}", ended.stderr);
    // A host is the same in capitals.
    let shouted = [
        ("ADYEN_BASE_URL", "HTTPS://BALANCEPLATFORM-API-TEST.ADYEN.COM/bcl/v2"),
        ("AIRWALLEX_BASE_URL", "https://Api-Demo.Airwallex.com"),
        ("SOLARIS_BASE_URL", "https://API.SOLARIS-SANDBOX.DE"),
        ("SOLARIS_TOKEN_URL", "https://auth.Solaris-Sandbox.de/oauth2/token"),
    ];
    let ended = refused(&with(program, &shouted)).await;
    assert_eq!(ended.wrong_settings(), expected, "{}", ended.stderr);
}

/// The default is the simulator's: it would take customers' openings, or be nowhere.
#[tokio::test]
async fn production_refuses_the_default_url_of_the_default_bank() {
    let own = [
        ("NEXUSBANK_API_KEY", "a-key-of-our-own"),
        ("NEXUSBANK_WEBHOOK_SECRETS", "whsec_b3VyLW93bi1zZWNyZXQtb2YtMjQ="),
    ];
    for url in ["http://127.0.0.1:8090", "http://127.0.0.1:8090/"] {
        let ended = refused(&with(production(), &own).env("NEXUSBANK_BASE_URL", url)).await;
        assert_eq!(ended.wrong_settings(), [WRONG.0, "NEXUSBANK_BASE_URL"], "{}", ended.stderr);
        assert!(ended.line_about("NEXUSBANK_BASE_URL").contains("required in production"), "{}", ended.stderr);
    }
    let ended = refused(&with(production(), &own)).await;
    assert_eq!(ended.wrong_settings(), [WRONG.0, "NEXUSBANK_BASE_URL"], "{}", ended.stderr);
}

/// A list is pulled where the bank has one for all customers.
#[tokio::test]
async fn a_schedule_of_pulls_names_only_configured_banks_with_a_list() {
    let program = BANKS.iter().fold(development(), |program, (_, settings)| with(program, settings));
    for schedule in ["solaris=24h", "adyen=24h", "nexusbank=24h,solaris=24h"] {
        let ended = refused(&program.clone().env("REPORT_SCHEDULE", schedule)).await;
        assert_eq!(ended.wrong_settings(), ["REPORT_SCHEDULE"], "{schedule}: {}", ended.stderr);
        let line = ended.line_about("REPORT_SCHEDULE");
        assert!(line.contains("configured providers with a list: nexusbank, airwallex"), "{line}");
    }
    let both = program.clone().env("REPORT_SCHEDULE", "nexusbank=24h,airwallex=12h").env(WRONG.0, WRONG.1);
    let ended = refused(&both).await;
    assert_eq!(ended.wrong_settings(), [WRONG.0], "{}", ended.stderr);
    let unset = refused(&development().env("REPORT_SCHEDULE", "airwallex=12h")).await;
    assert_eq!(unset.wrong_settings(), ["REPORT_SCHEDULE"], "{}", unset.stderr);
    let of_customers = both.env("AIRWALLEX_ON_BEHALF_OF", "profile");
    let ended = refused(&of_customers).await;
    assert_eq!(ended.wrong_settings(), [WRONG.0, "REPORT_SCHEDULE"], "{}", ended.stderr);
}
