//! The real program as people and machines meet it: commands, settings, signals, what it leaves behind.

mod arguments;
mod dotenv;
mod external;
mod outside;
mod private;
mod readiness;
mod roles;
mod settings;
mod shutdown;
mod verify_history;
