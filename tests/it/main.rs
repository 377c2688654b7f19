//! One binary for all tests through real edges: HTTP, a real Postgres, real processes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_wrap,
    reason = "a test fails by saying where"
)]

mod alerts;
mod answers;
mod backfill;
mod conformance;
mod contention;
mod counts;
mod dashboard;
mod database;
mod dead_letters;
mod deadline;
mod demo;
mod events;
mod every_step;
mod exact;
mod fairness;
mod fees;
mod flags;
mod foretold;
mod fuzzing;
mod herd;
mod journeys;
mod layers;
mod listener;
mod lists;
mod operators;
mod outages;
mod outbound;
mod pool;
mod port;
mod process;
mod reconciliation;
mod refused_webhooks;
mod relay;
mod replicas;
mod rest;
mod retention;
mod said;
mod starts;
mod subscribers;
mod support;
mod sweeps;
mod tickets;
mod verify;
mod webhooks;
