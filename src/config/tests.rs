//! `.env.example` must list exactly the program's settings.

use std::collections::BTreeMap;

use clap::Command;

const EXAMPLE: &str = include_str!("../../.env.example");

/// A setting's name and default. None: no default, or one computed at the start.
type Settings = BTreeMap<String, Option<String>>;

fn settings_of(command: &Command) -> Settings {
    let mut settings = Settings::new();
    for arg in command.get_arguments() {
        let Some(name) = arg.get_env() else { continue };
        let given = arg.get_default_values().first().map(|it| it.to_string_lossy().into_owned());
        // The default of a switch is false.
        let default = if arg.get_action().takes_values() { given } else { Some("false".to_owned()) };
        settings.insert(name.to_string_lossy().into_owned(), default.filter(|it| !it.is_empty()));
    }
    settings
}

/// The settings of all commands. A setting of two commands must have one default.
fn settings() -> Settings {
    let mut all = Settings::new();
    let cli = crate::cli::command();
    // `reports` has commands of its own.
    for command in cli.get_subcommands().flat_map(|it| std::iter::once(it).chain(it.get_subcommands())) {
        for (name, default) in settings_of(command) {
            let known = all.insert(name.clone(), default.clone());
            assert!(known.is_none_or(|known| known == default), "{name} has two defaults");
        }
    }
    all
}

/// `NAME=value`, where a name is capitals, digits and underscores.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some((name, value))
}

/// The documented defaults: the lines that are commented out.
fn documented() -> Settings {
    let mut documented = Settings::new();
    for (name, value) in EXAMPLE.lines().filter_map(|line| assignment(line.strip_prefix("# ")?)) {
        let value = Some(value.to_owned()).filter(|it| !it.is_empty());
        assert!(documented.insert(name.to_owned(), value).is_none(), "{name} is documented twice");
    }
    documented
}

#[test]
fn the_example_names_every_setting_with_its_default_and_no_other() {
    let (settings, documented) = (settings(), documented());
    for name in ["DATABASE_URL", "POLL_SCHEDULE", "SIMULATOR_SEED", "DEMO_LOG"] {
        assert!(settings.contains_key(name), "{name} was not looked at");
    }
    for (name, default) in &settings {
        let said = documented.get(name).unwrap_or_else(|| panic!(".env.example does not name {name}"));
        assert_eq!(said, default, "the default of {name} in .env.example");
    }
    let unknown: Vec<&String> = documented.keys().filter(|name| !settings.contains_key(*name)).collect();
    assert!(unknown.is_empty(), ".env.example names what is no setting: {unknown:?}");
}

#[test]
fn the_example_names_settings_alone_and_fits_a_developers_machine() {
    let settings = settings();
    let set: Vec<(&str, &str)> = EXAMPLE.lines().filter_map(assignment).collect();
    let unknown: Vec<&str> = set.iter().map(|(name, _)| *name).filter(|name| !settings.contains_key(*name)).collect();
    assert!(unknown.is_empty(), ".env.example sets what is no setting: {unknown:?}");
    assert_eq!(set, [("ENVIRONMENT", "development")]);
    let mut raw = super::RawSettings::defaults().unwrap();
    raw.environment = "development".to_owned();
    assert!(raw.checked().is_ok());
}
