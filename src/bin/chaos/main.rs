//! A scratch run of the load against one service without faults: the supervisor's program takes its place.
#![allow(dead_code, reason = "the supervisor calls what this scratch run does not")]

mod files;
mod load;
mod provider;
mod record;

fn main() {}
