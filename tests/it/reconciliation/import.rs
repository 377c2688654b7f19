//! `reports import`: the program sends a file to a running service, and says what becomes of it.

use serde_json::{Value, json};

use super::Register;
use crate::support::TestApp;
use crate::support::process::{Folder, Program};

fn register() -> Register {
    Register::of_day("2026-01-01").row("aor_1,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,")
}

/// `reports import` of a file with these options.
fn import(app: &TestApp, text: &[u8], options: &[&str]) -> Program {
    let folder = Folder::new();
    let file = folder.path().join("register.csv");
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let common = ["reports", "import", &file, "--provider", "nexusbank", "--kind", "register"];
    let program = Program::new(&[&common[..], options].concat()).within(&folder);
    program.env("API_URL", app.internal.as_str()).env("API_TOKEN", "operator-token")
}

#[tokio::test]
async fn a_file_is_sent_and_the_program_waits_until_it_is_finished() {
    let app = TestApp::start().await;
    let sent = import(&app, register().text().as_bytes(), &["--json"]).run().await;
    assert_eq!(sent.code(), Some(0), "{}", sent.stderr);
    let report: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!((&report["state"], &report["file_name"]), (&json!("received"), &json!("register.csv")));
    let waiting = import(&app, register().text().as_bytes(), &["--wait"]);
    let (ended, ()) = tokio::join!(waiting.run(), app.settle());
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("finished") && ended.stdout.contains("MISSING_INTERNAL"), "{}", ended.stdout);
    app.finish().await;
}

#[tokio::test]
async fn what_the_service_refuses_is_said_and_is_a_failure() {
    let app = TestApp::start().await;
    let refused = import(&app, b"a,b\n1,2\n", &[]).run().await;
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("422") && refused.stderr.contains("columns"), "{}", refused.stderr);
    let stranger = import(&app, register().text().as_bytes(), &[]).env("API_TOKEN", "no").run().await;
    assert!(stranger.code() == Some(1) && stranger.stderr.contains("401"), "{}", stranger.stderr);
    let away = import(&app, register().text().as_bytes(), &["--api-url", "http://127.0.0.1:9"]).run().await;
    assert!(away.code() == Some(1) && away.stderr.contains("127.0.0.1:9"), "{}", away.stderr);
    app.finish().await;
}
