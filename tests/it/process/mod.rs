//! The real program as people and machines meet it: commands, settings, signals, what it leaves behind.

mod arguments;
mod dotenv;
pub mod external;
mod outside;
mod private;
mod readiness;
mod roles;
mod settings;
mod shutdown;
mod under_load;
mod verify_history;
