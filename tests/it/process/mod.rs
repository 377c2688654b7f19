//! The real program as people and machines meet it: commands, settings, signals, what it leaves behind.

mod arguments;
mod dotenv;
pub mod external;
mod outside;
mod private;
mod settings;
mod shutdown;
mod under_load;
