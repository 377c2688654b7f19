//! The program: reads its arguments and starts what they ask for.

use std::process::ExitCode;

fn main() -> ExitCode {
    account_opening::cli::main()
}
