//! Logs panics with their place, but without their message.
//!
//! A panic's message may quote data: `unwrap` shows the error, which may show a row. The standard hook prints it, so
//! this hook replaces it. The line of code is enough to find the bug; the data is in the database.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

pub fn log_panics() {
    set_hook(Box::new(log));
}

fn log(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let current = std::thread::current();
    let thread = current.name().unwrap_or("unnamed");
    // Only if `RUST_BACKTRACE` requests it. A backtrace contains function names and no values.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(place, thread, backtrace, "panicked");
    } else {
        // No logger yet, or its filter would suppress the message. If standard error fails too, nothing more can be
        // done.
        let _ = writeln!(std::io::stderr(), "account-opening: panicked at {place} (thread {thread})");
    }
}
