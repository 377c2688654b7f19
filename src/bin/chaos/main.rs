//! A rehearsal of everything that goes wrong at once. The supervisor's program takes this file's place.
#![allow(dead_code, reason = "the supervisor calls what this file does not")]

mod checker;
mod record;

fn main() {}
