//! The real program as people and machines meet it: commands, settings, signals, what it leaves behind.

mod arguments;
mod dotenv;
pub mod external;
mod hangups;
mod hostile;
mod keys;
mod odd_settings;
mod outside;
mod panics;
mod poolers;
mod private;
mod readiness;
mod roles;
mod secrets;
mod settings;
mod shutdown;
mod under_load;
mod verify_history;
