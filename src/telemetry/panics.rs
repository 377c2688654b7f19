//! What is said about a panic: where, and not what.
//!
//! The message of a panic may quote data: that of an `unwrap` shows the error, and the error perhaps a row. The standard hook
//! prints it, so this one stands in its place. The line of code is what a person needs to find the mistake; the data is in
//! the database.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

/// Logs every panic of the process from now on, without its message.
pub fn log_panics() {
    set_hook(Box::new(log));
}

fn log(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let current = std::thread::current();
    let thread = current.name().unwrap_or("unnamed");
    // Only where `RUST_BACKTRACE` asks for it. It has names of functions and no values.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(place, thread, backtrace, "panicked");
    } else {
        // Before there is a log, or where its filter would swallow it. If nobody can be told, nothing more can be done.
        let _ = writeln!(std::io::stderr(), "account-opening: panicked at {place} (thread {thread})");
    }
}
