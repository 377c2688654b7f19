//! account-opening: opens bank accounts at a provider that answers later.
//!
//! A request becomes an anchor row. Every message from outside becomes a fact in the inbox, a pure function decides each
//! fact, and the effects of its decision wait in the outbox for the relay. Where to look:
//!
//! | folder | what is there |
//! |---|---|
//! | [`domain`] | the business logic, pure: states, facts, decisions |
//! | [`acts`] | acts of callers and operators, a file per act |
//! | [`db`] | all SQL, a file per table |
//! | [`webhook_activity`] | when each provider last sent a webhook |
//! | [`http`] | the listeners: webhooks on the public one, REST on the internal one |
//! | [`inbox`] | the path of a fact: burst dedup, queue, group commit, decision |
//! | [`outbox`] | the relay, which carries out commands, deliveries and tickets |
//! | [`group_commit`] | a bounded queue; its items share commits |
//! | [`context`] | the state that workers share |
//! | [`refused_webhooks`] | webhooks that the listener refused: stored within a bound, verified again |
//! | [`driver`] | the loop that runs a worker, and the wakers |
//! | [`workers`] | poller, backfill, sweeper, periodic tasks |
//! | [`reconciliation`] | compares what the service holds with a provider's reports |
//! | [`report_files`] | parses report files of every format into canonical rows |
//! | [`provider`] | the port to a bank, signatures, routes, an adapter for each bank |
//! | [`outbound`] | calls to other systems: client, permits, circuit breaker, errors by meaning |
//! | [`services`] | profile service, card issuer, ticket tracker |
//! | [`sinks`] | where events go: signed HTTP |
//! | [`faults`] | injected faults for tests |
//! | [`app`], [`cli`], [`config`], [`settings`] | wiring and start, subcommands, the settings and how they are read |
//! | [`clock`], [`shell`], [`telemetry`], [`token_bucket`], [`csv`] | time and ids, what acts share, logs and metrics, rates, tables |
pub mod acts;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod csv;
pub mod db;
pub mod domain;
pub mod driver;
pub mod faults;
pub mod group_commit;
pub mod http;
pub mod inbox;
pub mod outbound;
pub mod outbox;
pub mod provider;
pub mod reconciliation;
pub mod refused_webhooks;
pub mod report_files;
pub mod services;
pub mod settings;
pub mod shell;
pub mod sinks;
pub mod telemetry;
pub mod token_bucket;
pub mod webhook_activity;
pub mod workers;
