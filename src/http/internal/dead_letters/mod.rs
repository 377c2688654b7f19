//! Dead letters: read, redrive, discard.

mod act;
mod get;
mod list;

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
    /// The queue that a dead letter stands in.
    Queue {
        /// What came from outside.
        Inbox = "inbox",
        /// What was to be sent.
        Outbox = "outbox",
    }
);

/// A dead letter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// Its id.
    id: Uuid,
    /// Which queue it stands in.
    #[schema(value_type = Queue)]
    queue: String,
    /// The source of a fact, or the topic of a command.
    #[schema(example = "submit_request")]
    kind: String,
    /// Why it is dead.
    cause: Option<String>,
    /// How many of its attempts counted.
    attempts: i32,
    /// The opening that it is about, where that is known.
    opening_id: Option<Uuid>,
    /// When it came or was written.
    at: DateTime<Utc>,
}

impl From<dead_letters::Letter> for DeadLetter {
    fn from(letter: dead_letters::Letter) -> Self {
        let dead_letters::Letter { id, queue, kind, cause, attempts, opening_id, at } = letter;
        Self { id, queue, kind, cause, attempts, opening_id, at }
    }
}

/// The routes.
pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(act::redrive))
        .routes(routes!(act::discard))
}
