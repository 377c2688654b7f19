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
