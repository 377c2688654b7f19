//! Usage and help.

use std::collections::BTreeMap;

use crate::support::process::Program;

const COMMANDS: [&str; 8] =
    ["serve", "demo", "migrate", "verify-history", "simulator", "reports check", "reports import", "evidence verify"];
const EXAMPLE: &str = include_str!("../../../.env.example");

#[tokio::test]
async fn without_a_command_or_with_one_that_is_none_usage_is_told_and_the_exit_code_is_2() {
    for arguments in [&[] as &[&str], &["frobnicate"], &["serve", "now"]] {
        let ended = Program::new(arguments).run().await;
        assert_eq!(ended.code(), Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("Usage: account-opening"), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn an_unknown_option_is_wrong_usage_of_every_command() {
    for command in COMMANDS {
        let arguments: Vec<&str> = command.split(' ').chain(["--frobnicate"]).collect();
        let ended = Program::new(&arguments).run().await;
        assert_eq!(ended.code(), Some(2), "{command}: {}", ended.stderr);
        assert!(ended.stderr.contains("--frobnicate"), "{command}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_demo_of_no_openings_is_wrong_usage() {
    let ended = Program::new(&["demo", "--openings", "0"]).run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("--openings"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_demo_whose_log_filter_cannot_be_read_is_wrong_configuration() {
    let ended = Program::new(&["demo"]).env("DEMO_LOG", "a=b=c").run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    let line = ended.line_about("DEMO_LOG");
    assert!(line.contains("a=b=c") && line.contains("; expected "), "{line}");
    assert_eq!(ended.lines().len(), 1, "{}", ended.stderr);
}

/// The defaults of `.env.example`: `# NAME=value` below the header that names the command.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let setting = |line: &'static str| line.strip_prefix("# ")?.split_once('=');
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    EXAMPLE.lines().filter_map(setting).filter(|(name, _)| is_name(name)).collect()
}

/// Help with lines as long as they get, and a value in the environment for every setting that may be secret.
async fn help(command: &str) -> String {
    let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let ended = Program::new(&arguments)
        .env("COLUMNS", "1000")
        .env("DATABASE_URL", "postgres://user:hush-hush@127.0.0.1/x")
        .env("MIGRATION_DATABASE_URL", "postgres://owner:hush-hush@127.0.0.1/x")
        .env("API_TOKENS", "shop:hush-hush")
        .env("HISTORY_KEY", "hush-hush")
        .env("EVIDENCE_KEY", "hush-hush")
        .env("EVENT_SUBSCRIBERS", "https://example.com|whsec_hush-hush")
        .env("NEXUSBANK_API_KEY", "hush-hush")
        .env("NEXUSBANK_WEBHOOK_SECRETS", "whsec_hush-hush")
        .run()
        .await;
    assert_eq!(ended.code(), Some(0), "{command}: {}", ended.stderr);
    assert!(!ended.stdout.contains("hush") && ended.stderr.is_empty(), "{command}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

#[tokio::test]
async fn help_names_every_setting_with_its_variable_and_default_and_shows_no_secret() {
    let mut told = BTreeMap::new();
    for command in COMMANDS {
        for line in help(command).await.lines() {
            let variable = line.rsplit_once("[env: ").and_then(|(_, rest)| rest.split(['=', ']']).next());
            if let Some(variable) = variable {
                let option = format!("--{}", variable.to_lowercase().replace('_', "-"));
                let is_option = line.trim_start().starts_with(&option);
                assert!(is_option, "{variable} is not its option's name: {line}");
                told.insert(variable.to_owned(), line.to_owned());
            }
        }
    }
    for (name, default) in documented() {
        let line = told.get(name).unwrap_or_else(|| panic!("no help names {name}"));
        // A flag takes no value, so its help shows none: without it, it is off.
        let is_flag = default == "false" && !line.contains('<') && !line.contains("[default");
        let shown = default.is_empty() || is_flag || line.contains(&format!("[default: {default}]"));
        assert!(shown, "the default {default} is not in the help: {line}");
    }
    assert!(told.len() >= 40, "{told:?}");
}

#[tokio::test]
async fn the_commands_and_the_exit_codes_are_in_the_help_of_the_program() {
    let ended = Program::new(&["--help"]).run().await;
    assert_eq!(ended.code(), Some(0));
    let commands = COMMANDS.iter().map(|it| it.split(' ').next().unwrap());
    for word in commands.chain(["Exit codes", ".env", "POLL_SCHEDULE"]) {
        assert!(ended.stdout.contains(word), "{word}: {}", ended.stdout);
    }
}
