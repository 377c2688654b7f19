//! The acts of people and callers: a file per act. REST handlers and pages extract a request, call the act, and answer.
//!
//! `run` commits the change, its follow-up and the record of the act together. Retries of the commit reuse the act's id and its
//! fact's key, so one call records one act. `rehearse` makes the same reads and the same decision, and writes
//! nothing. A crash leaves either nothing or a whole act, which the caller's repeat finds.

pub mod backfill;
pub mod bulk;
mod dead_letter;
pub mod decide_report;
pub mod discard;
pub mod discard_work;
pub mod erase;
mod error;
pub mod export;
pub mod export_evidence;
pub mod export_opening;
pub mod flags;
pub mod force_breaker;
pub mod poll;
pub mod principal;
pub mod pull_report;
pub mod reason;
pub mod record_reading;
pub mod redrive;
pub mod resolve;
pub mod resolve_case;
pub mod reveal;
pub mod reverify;
pub mod reverify_all;
pub mod set_flag;
pub mod sign_in;
pub mod sign_out;
pub mod start;
pub mod upload_report;

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::error::ActError;
pub use self::principal::{Admin, Caller, Forbidden, Operator, Principal};
use crate::config::Settings;
use crate::db::inbox::NewFact;
use crate::db::openings;
use crate::db::operator_actions::Action;
use crate::domain::{Fact, Opening, OpeningId, Policy, Source};
use crate::inbox::Ingest;
use crate::inbox::fact;
use crate::provider::SecretUses;
use crate::shell::{Cell, Outside, Shell};

/// State shared by the acts.
#[derive(Clone)]
pub struct Acts {
    pub settings: Arc<Settings>,
    pub shell: Shell,
    pub cell: Cell,
    pub outside: Outside,
    /// Stores messages in the inbox.
    pub ingest: Ingest,
    /// Counts the webhook secrets in use.
    pub secret_uses: SecretUses,
    /// The feature flag's rules, cached in this process.
    pub flags: flags::Flags,
    /// Batches starts into common commits.
    pub starts: start::StartBatcher,
    /// The right to read whether an opening is decided. One waiting caller at a time has it, so that they leave the pool to others.
    pub waiting_reads: Arc<Semaphore>,
    /// Cancelled at shutdown, so that no caller is kept waiting.
    pub stopping: CancellationToken,
    /// The dashboard's form that asks for the act. None: a request that is no form.
    pub form: Option<Uuid>,
}

/// An act that changes nothing on its repeat: it is done now (in a rehearsal: would be), or was done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once<T> {
    Now(T),
    Already,
}

impl Acts {
    /// The acts as this form of the dashboard asks for them: at most one of them is done, also if the form is sent again.
    #[must_use]
    pub fn of_form(&self, form: Uuid) -> Self {
        Self { form: Some(form), ..self.clone() }
    }

    /// The rules of waiting for a provider.
    fn policy_of(&self, provider: &str) -> &Policy {
        self.outside.providers.policy(provider, &self.settings.policy)
    }

    /// The record of an act. Make it before the work, so that every try records the same act.
    fn record(&self, who: &str, action: &str, subject: &impl ToString, reason: String) -> Action {
        Action {
            id: self.shell.ids.next(),
            at: self.shell.clock.now(),
            who: who.to_owned(),
            action: action.to_owned(),
            subject: subject.to_string(),
            opening_id: None,
            reason,
            detail: json!({}),
            form: self.form,
        }
    }

    /// An act on an opening as a fact for its inbox, under a key that is the same in every try.
    fn fact(&self, opening: &Opening, kind: &str, action: &Action, fact: &Fact) -> NewFact {
        let (provider, event_id) = (&opening.request.provider, format!("{kind}:{}", action.id));
        let new = fact::ours(&self.shell.ids, Source::Operator, provider, event_id, opening.id.0, fact, action.at);
        NewFact { headers: json!({"by": action.who}).to_string(), ..new }
    }
}

fn about_opening(action: Action, opening: Uuid, detail: Value) -> Action {
    Action { opening_id: Some(opening), detail, ..action }
}

/// Reads the opening that an act is about, under its lock. The lock waits for the commit of an earlier try, so that reads behind
/// it see whether that try took effect.
async fn locked(connection: &mut PgConnection, id: OpeningId) -> Result<Opening, ActError> {
    Ok(openings::lock(connection, &[id.0]).await?.pop().ok_or(ActError::NotFound)?.opening)
}

/// Reads the opening without its lock, for a rehearsal, and holds it to the version that the operator saw.
async fn seen(connection: &mut PgConnection, id: OpeningId, expected: Option<i64>) -> Result<Opening, ActError> {
    as_expected(openings::get(connection, id).await?.ok_or(ActError::NotFound)?, expected)
}

fn as_expected(opening: Opening, expected: Option<i64>) -> Result<Opening, ActError> {
    match expected {
        Some(version) if version != opening.version => {
            Err(ActError::Moved { version: opening.version, state: opening.state_name() })
        }
        _ => Ok(opening),
    }
}
