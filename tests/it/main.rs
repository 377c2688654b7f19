//! One binary for all tests through real edges: HTTP, a real Postgres, real processes.

mod database;
mod deadline;
mod journeys;
mod support;
