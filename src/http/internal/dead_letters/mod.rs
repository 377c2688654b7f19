//! Dead letters: read, redrive, discard.

mod act;
mod get;
pub mod list;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::dead_letters;
use crate::domain::text::string_enum;
use crate::http::AppState;

string_enum!(
    /// The queue of a dead letter.
    Queue {
        /// Facts from outside.
        Inbox = "inbox",
        /// Calls and deliveries to other systems.
        Outbox = "outbox",
    }
);

/// A fact or outbox work that was given up.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// The dead letter's id.
    id: Uuid,
    /// The queue: inbox or outbox.
    #[schema(value_type = Queue)]
    queue: String,
    /// The source of a fact, or the topic of outbox work.
    #[schema(example = "submit_request")]
    kind: String,
    /// The cause of death.
    cause: Option<String>,
    /// The number of attempts that counted.
    attempts: i32,
    /// The opening that it is about, if known.
    opening_id: Option<Uuid>,
    /// The time of its receipt or creation.
    at: DateTime<Utc>,
}

impl From<dead_letters::Letter> for DeadLetter {
    fn from(letter: dead_letters::Letter) -> Self {
        let dead_letters::Letter { id, queue, kind, cause, attempts, opening_id, at } = letter;
        Self { id, queue, kind, cause, attempts, opening_id, at }
    }
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(act::redrive))
        .routes(routes!(act::discard))
}
