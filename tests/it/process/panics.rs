//! The output of a process that panics. The program has no place that panics on demand, so this binary runs itself again: one
//! of its tests, as a process of its own, with the program's hook.

use std::process::{Command, Output};

use account_opening::telemetry::{LogFilter, LogFormat, init_logs, log_panics};

/// Set for the child: how it logs, or `none`.
const CHILD: &str = "PANIC_AS_A_CHILD";
/// The message of the panic, with data as that of an `unwrap` may have.
const DATA: &str = "Canary Person, BE68539007547034";

/// Not a test by itself: does nothing unless [`child`] runs it.
#[test]
fn panics_in_a_process_of_its_own() {
    let Ok(logs) = std::env::var(CHILD) else { return };
    log_panics();
    if let Ok(format) = logs.parse::<LogFormat>() {
        init_logs(LogFilter::parse("info").unwrap(), format).unwrap();
    }
    let thread = std::thread::Builder::new().name("a-worker".to_owned());
    let row: Result<u8, String> = std::env::var(CHILD).map_or(Ok(0), |_| Err(DATA.to_owned()));
    thread.spawn(move || row.unwrap()).unwrap().join().unwrap_err();
}

fn child(logs: &str, backtrace: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::panics::panics_in_a_process_of_its_own", "--nocapture"])
        .env(CHILD, logs)
        .env("RUST_BACKTRACE", backtrace)
        .output()
        .unwrap()
}

#[test]
fn a_panic_is_logged_with_its_place_and_without_what_it_said() {
    for (logs, backtrace) in [("json", "0"), ("json", "1"), ("text", "0"), ("none", "0")] {
        let Output { status, stdout, stderr } = child(logs, backtrace);
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(status.success() && stdout.contains("1 passed"), "{logs}: {stdout} {stderr}");
        for said in ["Canary", "BE68"] {
            assert!(!stdout.contains(said) && !stderr.contains(said), "{logs}: {stdout} {stderr}");
        }
        let about: Vec<&str> = stderr.lines().filter(|line| line.contains("panicked")).collect();
        assert_eq!(about.len(), 1, "{logs}: {stderr}");
        assert!(about[0].contains("tests/it/process/panics.rs:") && about[0].contains("a-worker"), "{stderr}");
        if logs == "json" {
            let line: serde_json::Value = serde_json::from_str(about[0]).unwrap();
            assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"panicked".into()));
            assert_eq!(line["backtrace"].is_string(), backtrace == "1", "{line}");
        }
    }
}
