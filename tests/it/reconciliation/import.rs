//! `reports import`: the program sends a file to a running service, and says what becomes of it.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Register;
use crate::support::TestApp;
use crate::support::eventually::eventually;
use crate::support::process::{Folder, Program, WITHIN};

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

/// The service's own setting, which the command finds in the same `.env`.
#[tokio::test]
async fn the_service_is_found_by_the_address_of_its_internal_listener() {
    let app = TestApp::start().await;
    let folder = Folder::new();
    std::fs::write(folder.path().join("register.csv"), register().text()).unwrap();
    let arguments = ["reports", "import", "register.csv", "--provider", "nexusbank", "--kind", "register"];
    let import = || Program::new(&arguments).within(&folder).env("API_TOKEN", "operator-token");
    let port = app.internal.rsplit(':').next().unwrap();
    let sent = import().env("INTERNAL_ADDR", format!("0.0.0.0:{port}")).run().await;
    assert_eq!(sent.code(), Some(0), "{}", sent.stderr);
    std::fs::write(folder.path().join(".env"), format!("INTERNAL_ADDR=127.0.0.1:{port}\nAPI_URL=\n")).unwrap();
    let again = import().run().await;
    assert_eq!((again.code(), &again.stdout), (Some(0), &sent.stdout), "{}", again.stderr);
    let any = import().env("INTERNAL_ADDR", "127.0.0.1:0").run().await;
    assert_eq!((any.code(), any.wrong_settings()), (Some(2), vec!["INTERNAL_ADDR"]), "{}", any.stderr);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn an_interrupt_ends_the_sending_with_a_line_and_leaves_nothing() {
    let app = TestApp::start().await;
    let folder = Folder::new();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let arguments = ["reports", "import", "pipe", "--provider", "nexusbank", "--kind", "register"];
    let program = Program::new(&arguments).within(&folder);
    let mut process = program.env("API_URL", app.internal.as_str()).env("API_TOKEN", "operator-token").spawn();
    // Returns when the process has the other end; the half of a file is sent, and its end does not come.
    let half = tokio::task::spawn_blocking(move || {
        let mut end = std::fs::File::options().write(true).open(pipe).unwrap();
        std::io::Write::write_all(&mut end, register().text().as_bytes()).unwrap();
        end
    });
    let half = half.await.unwrap();
    process.signal(Signal::SIGINT);
    let ended = process.ended(WITHIN).await;
    drop(half);
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    let told = "pipe: interrupted before the file was sent to its end; the service keeps nothing of it\n";
    assert!(ended.stderr.ends_with(told), "{}", ended.stderr);
    assert!(app.items("/v1/reports").await.is_empty());
    let import = import(&app, register().text().as_bytes(), &["--wait"]);
    let mut waiting = import.spawn();
    eventually("the report is there", async || app.items("/v1/reports").await.pop()).await;
    waiting.signal(Signal::SIGTERM);
    let ended = waiting.ended(WITHIN).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn a_refusal_of_the_service_is_said_and_is_a_failure() {
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
