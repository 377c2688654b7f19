//! The program: parses its arguments and starts.
fn main() {}
