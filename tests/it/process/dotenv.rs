//! `.env` in the working directory.

use std::sync::Arc;

use crate::support::process::{Folder, Program};

/// A folder with this `.env`.
fn folder(dot_env: &str) -> Arc<Folder> {
    let folder = Folder::new();
    std::fs::write(folder.path().join(".env"), dot_env).unwrap();
    folder
}

#[tokio::test]
async fn settings_are_read_from_the_env_file_of_the_working_directory() {
    let folder =
        folder("# a comment\n\nENVIRONMENT=development\nLOG_FORMAT=\"from the file\"\nexport DATABASE_POOL=0\n");
    let ended = Program::new(&["serve"]).within(&folder).run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert_eq!(ended.wrong_settings(), ["DATABASE_POOL", "LOG_FORMAT"], "{}", ended.stderr);
    assert!(ended.line_about("LOG_FORMAT").contains("from the file"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_variable_that_is_set_wins_over_the_env_file_and_an_option_over_both() {
    let folder = folder("ENVIRONMENT=development\nLOG_FORMAT=file\nDATABASE_POOL=0\n");
    let ended =
        Program::new(&["serve", "--database-pool", "1"]).within(&folder).env("LOG_FORMAT", "variable").run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert!(ended.line_about("LOG_FORMAT").contains("\"variable\""), "{}", ended.stderr);
    assert!(ended.line_about("DATABASE_POOL").contains("\"1\""), "{}", ended.stderr);
}

#[tokio::test]
async fn an_env_file_that_cannot_be_read_is_wrong_configuration_and_its_text_is_not_shown() {
    for dot_env in ["ENVIRONMENT=development\nAPI_TOKENS 'hush\n", "NEXUSBANK_API_KEY=\"hush\n"] {
        let ended = Program::new(&["serve"]).within(&folder(dot_env)).run().await;
        assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
        assert_eq!(ended.lines().len(), 1, "{}", ended.stderr);
        assert!(ended.stderr.starts_with(".env: ") && !ended.stderr.contains("hush"), "{}", ended.stderr);
    }
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join(".env")).unwrap();
    let ended = Program::new(&["serve"]).within(&folder).run().await;
    assert_eq!((ended.code(), ended.lines().len()), (Some(2), 1), "{}", ended.stderr);
}

#[tokio::test]
async fn the_example_as_it_is_makes_an_env_file_that_every_command_takes() {
    let folder = folder(include_str!("../../../.env.example"));
    let wrong = Program::new(&["serve", "--log-format", "xml"]).within(&folder).run().await;
    assert_eq!(wrong.wrong_settings(), ["LOG_FORMAT"], "{}", wrong.stderr);
}

/// Compose files and copied examples give names without a value.
#[tokio::test]
async fn an_optional_setting_without_a_value_counts_as_not_set() {
    let folder = folder(
        "ENVIRONMENT=development\nDATABASE_URL=\nMIGRATION_DATABASE_URL=\nDATA_DIR=\nPG_BIN_DIR=\n\
                         HISTORY_KEY=\nEVENT_SUBSCRIBERS=\nSIMULATOR_SEED=\n",
    );
    for (command, wrong) in
        [("serve", "LOG_FORMAT"), ("migrate", "DATABASE_POOL"), ("simulator", "WEBHOOK_URL"), ("demo", "DEMO_LOG")]
    {
        let ended = Program::new(&[command]).within(&folder).env(wrong, "a=b=c").run().await;
        assert_eq!(ended.wrong_settings(), [wrong], "{command}: {}", ended.stderr);
    }
}

/// G19: named by file and line, and never shown.
#[tokio::test]
async fn a_mistake_in_an_env_file_is_told_with_its_line_and_without_a_panic() {
    for (dot_env, line) in [
        (&b"ENVIRONMENT=development\nAPI_TOKENS=hush\0hush\n"[..], 2),
        (b"\n\nAPI_TOKENS 'hush\n", 3),
        (b"ENVIRONMENT=development\nNEXUSBANK_API_KEY=\"hush\n", 2),
        (b"ENVIRONMENT=development\r\n\r\nNEXUSBANK_API_KEY='hush' hush\r\n", 3),
        (b"NEXUSBANK_API_KEY=hush\xff\n", 1),
        (b"=hush\n", 1),
        (b"1X=hush\n", 1),
        (b"# a comment\nNEXUSBANK_API_KEY=hush\nNEXUSBANK_API_KEY=hush-hush\n", 3),
    ] {
        let folder = Folder::new();
        std::fs::write(folder.path().join(".env"), dot_env).unwrap();
        let ended = Program::new(&["serve"]).within(&folder).run().await;
        let shown = String::from_utf8_lossy(dot_env);
        assert_eq!((ended.code(), ended.lines().len()), (Some(2), 1), "{shown}: {}", ended.stderr);
        assert!(ended.stderr.starts_with(&format!(".env: line {line}: ")), "{shown}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    }
}

/// G19: a password may have a dollar in it.
#[tokio::test]
async fn values_of_an_env_file_are_taken_literally() {
    for (written, held) in [
        ("a$HOME-${HOME}$", "a$HOME-${HOME}$"),
        ("\"a$HOME \\\"#b\\\"\" # a comment", "a$HOME \"#b\""),
        ("'a$HOME \"#b\"'\t# a comment", "a$HOME \"#b\""),
        ("a\\$b#c # a comment", "a\\$b#c"),
        ("  two words  ", "two words"),
        ("\u{fc}$\u{20ac}", "\u{fc}$\u{20ac}"),
    ] {
        let folder =
            folder(&format!("\u{feff}HOME_OF=x\nexport ENVIRONMENT = development\r\nLOG_FORMAT={written}\r\n"));
        let ended = Program::new(&["serve"]).within(&folder).run().await;
        assert_eq!(ended.wrong_settings(), ["LOG_FORMAT"], "{written}: {}", ended.stderr);
        let line = ended.line_about("LOG_FORMAT");
        assert!(line.contains(&format!("invalid value {held:?}; expected")), "{written}: {line}");
    }
}

/// G19: options that are no text, and a blank file.
#[tokio::test]
async fn numbers_and_switches_of_an_env_file_are_checked_as_those_of_the_environment() {
    for (line, says) in
        [("OPENINGS=many", "OPENINGS"), ("SEED=-1", "SEED"), ("EXIT=maybe", "EXIT: invalid value \"maybe\"")]
    {
        let ended = Program::new(&["demo"]).within(&folder(line)).run().await;
        assert!(ended.code() == Some(2) && ended.stderr.contains(says), "{line}: {:?} {}", ended.code(), ended.stderr);
    }
    let folder = folder("EXIT=\nJSON=off\nSEED=7\nDEMO_LOG=a=b=c\n");
    let ended = Program::new(&["demo"]).within(&folder).run().await;
    assert_eq!(ended.wrong_settings(), ["DEMO_LOG"], "{}", ended.stderr);
    let ended = Program::new(&["demo", "--demo-log", "x=y=z"]).within(&folder).run().await;
    assert!(ended.line_about("DEMO_LOG").contains("x=y=z"), "{}", ended.stderr);
}

/// G19
#[tokio::test]
async fn a_bad_env_file_breaks_neither_help_nor_version() {
    let folder = folder("this is no env file\n");
    for arguments in [&["--help"][..], &["--version"], &["help"], &["serve", "--help"], &["migrate", "--version"]] {
        let ended = Program::new(arguments).within(&folder).run().await;
        assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(ended.stdout.contains("account-opening"), "{arguments:?}: {}", ended.stdout);
    }
}
