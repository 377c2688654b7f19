//! The HTTP listeners: the public one accepts webhooks only; the internal one serves callers, operators and machines, and
//! people by the dashboard.

pub mod body;
pub mod dashboard;
mod head_timer;
pub mod health;
mod heart;
pub mod internal;
pub mod listener;
mod outgoing;
mod own_task;
pub mod problem;
pub mod public;
pub mod request_id;

use std::ops::Deref;

use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgConnection;

use self::dashboard::live::Live;
use self::problem::ApiError;
use crate::acts::Acts;
use crate::db;
use crate::refused_webhooks::RefusedWebhooks;
use crate::webhook_activity::WebhookActivity;

/// The handlers' state: that of the acts, and the listeners' own.
#[derive(Clone)]
pub struct AppState {
    pub acts: Acts,
    /// The times of the providers' last webhooks.
    pub webhook_activity: WebhookActivity,
    /// Stores refused webhooks.
    pub refused_webhooks: RefusedWebhooks,
    pub metrics: PrometheusHandle,
    /// The watches of browsers on this replica.
    pub live: Live,
}

impl Deref for AppState {
    type Target = Acts;

    fn deref(&self) -> &Acts {
        &self.acts
    }
}

impl AppState {
    /// Reads from the database, with tries. The work may also write what is safe to write twice.
    ///
    /// # Errors
    /// 503 when the database is away, too busy or does not answer in time, 500 when it refuses the statement.
    pub async fn read<T>(&self, work: impl AsyncFn(&mut PgConnection) -> sqlx::Result<T>) -> Result<T, ApiError> {
        Ok(db::with_retries(&self.cell.pool, work).await?)
    }
}
