//! The real program as people and machines meet it: commands, settings, signals, what it leaves behind.

mod arguments;
mod bank_secrets;
mod dotenv;
pub mod external;
mod file_limit;
mod hangups;
mod hostile;
mod keys;
mod moved;
mod odd_settings;
mod outside;
mod panics;
mod poolers;
mod private;
mod providers;
mod proxy;
mod readiness;
mod reports_check;
mod roles;
mod secrets;
mod settings;
mod shutdown;
mod under_load;
mod verify_history;
