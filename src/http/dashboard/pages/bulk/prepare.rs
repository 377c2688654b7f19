//! `POST /bulk`: freezes a list. It writes nothing but the list, and leads to its page.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::{SECTION, page_of};
use crate::acts::bulk::prepare;
use crate::db::dead_letters::{Act, Filter};
use crate::domain::text::string_enum;
use crate::http::dashboard::Dashboard;
use crate::http::dashboard::act::{ActForm, Acting};
use crate::http::internal::dead_letters::Queue;
use crate::http::internal::fields::body;
use crate::http::internal::forms::Name;
use crate::http::problem::ApiError;

string_enum!(
    /// The act on each letter of the list.
    BulkAct {
        /// The letter is tried again.
        Redrive = "redrive",
        /// The letter is given up.
        Discard = "discard",
    }
);

body!(
    /// Which dead letters are listed, and what is done with each.
    WhichLetters {
        /// The act.
        act: BulkAct,
        /// Only letters of this queue.
        queue: Option<Queue>,
        /// Only letters with this cause.
        cause: Option<Name>,
    }
);

/// Leads to the dead letters: a sign-in on the way to a list ends there.
pub async fn back(State(dashboard): State<Arc<Dashboard>>) -> Redirect {
    Redirect::to(&dashboard.site.url(SECTION))
}

pub async fn prepare(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    form: ActForm<WhichLetters>,
) -> Result<Response, ApiError> {
    let WhichLetters { act, queue, cause } = form.body?;
    let act = match act {
        BulkAct::Redrive => Act::Redrive,
        BulkAct::Discard => Act::Discard,
    };
    let filter = Filter { queue: queue.map(|it| it.as_str().to_owned()), cause };
    // The form's token is the run's id: the form again is the same list.
    prepare::run(&dashboard.acts, &operator, form.token, act, filter).await?;
    Ok(Redirect::to(&dashboard.site.url(&page_of(form.token))).into_response())
}
