//! The REST API as callers, operators and machines see it.

mod access;
mod clients;
mod described;
mod hostile;
mod idempotency;
mod lists;
mod machines;
mod openings;
mod problems;
mod timeline;
mod together;
