//! account-opening: opens bank accounts at a provider that answers later.
pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod embedded;
pub mod http;
pub mod ingest;
pub mod provider;
pub mod services;
pub mod simulator;
pub mod workers;
