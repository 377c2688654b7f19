//! The program: reads its arguments and starts what they ask for.

use std::process::ExitCode;

/// Each webhook is some hundred small allocations, made on one thread and freed on another: what the system's allocator is
/// slowest at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    account_opening::cli::main()
}
