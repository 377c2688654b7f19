//! The part of the chaos run that tests use too: a proxy in front of Postgres.

mod proxy;

pub use self::proxy::{Cut, Link, Proxy, Seen};
