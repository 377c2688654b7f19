//! account-opening: opens bank accounts at a provider that answers later.
//!
//! A request becomes an anchor; what the outside says becomes facts in an inbox; a pure function decides what each means;
//! what must happen then stands in an outbox. Where to look:
//!
//! | folder | what is there |
//! |---|---|
//! | [`domain`] | the business logic, pure: states, facts, decisions |
//! | [`acts`] | what people and callers do: a file per act |
//! | [`db`] | all SQL, a file per table |
//! | [`webhook_activity`] | when each provider last sent a webhook |
//! | [`http`] | the edge: webhooks on the public listener, REST on the internal one |
//! | [`inbox`] | how a fact gets in (burst dedup, queue, one commit for many) and how it is decided |
//! | [`group_commit`] | a bounded queue whose items share commits |
//! | [`context`] | what workers share |
//! | [`refused_webhooks`] | what the webhook listener refused, kept within a bound and verified again |
//! | [`driver`] | the loop that runs a worker, and the wakers |
//! | [`workers`] | inbox, relay, poller, sweeper |
//! | [`provider`] | the port to a bank, signatures, `NexusBank`'s adapter |
//! | [`outbound`] | every call to another system: client, breaker, bulkhead, errors by meaning |
//! | [`services`] | profile service, card issuer, subscribers |
//! | [`faults`] | where tests bring in the other faults |
//! | [`app`], [`cli`], [`config`] | starting, commands, settings |
pub mod acts;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod db;
pub mod domain;
pub mod driver;
pub mod faults;
pub mod group_commit;
pub mod http;
pub mod inbox;
pub mod outbound;
pub mod provider;
pub mod refused_webhooks;
pub mod services;
pub mod settings;
pub mod shell;
pub mod telemetry;
pub mod token_bucket;
pub mod webhook_activity;
pub mod workers;
