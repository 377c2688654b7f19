//! The real program as people and machines meet it: commands, settings, signals, what it leaves behind.

mod arguments;
mod dotenv;
mod external;
mod hangups;
mod hostile;
mod outside;
mod panics;
mod private;
mod secrets;
mod settings;
mod shutdown;
