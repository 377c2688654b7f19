//! Several instances on one database, each a process with a burst cache of its own.

mod copies;
mod rolling;
