//! account-opening: opens bank accounts at a provider that answers later.
pub mod clock;
pub mod db;
pub mod domain;
pub mod simulator;
