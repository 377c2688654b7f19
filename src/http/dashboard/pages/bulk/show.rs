//! The page of a run: the frozen list and the form that starts it; then the progress, and an outcome per item.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, page_of, title};
use crate::acts::Operator;
use crate::db::Page;
use crate::db::bulk_runs::{self, LeftAlone, Run, Tally};
use crate::http::dashboard::confirmation::{Control, Input};
use crate::http::dashboard::error::html;
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::pages::dead_letters;
use crate::http::dashboard::parts::{Look, Mark, Moment, words};
use crate::http::dashboard::query::Query;
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, FieldError, Kind};

/// Items of a page.
const SHOWN: i64 = 50;

#[derive(Template)]
#[template(path = "bulk.html")]
pub struct BulkPage {
    layout: Layout,
    path: String,
    pub title: String,
    act: String,
    status: Mark,
    pub items: i32,
    is_cut: bool,
    prepared_by: String,
    prepared_at: Moment,
    /// The person, the reason and the time of its start.
    started: Option<(String, String, Moment)>,
    ended: Option<Moment>,
    /// Items with an outcome.
    done: i64,
    outcomes: Vec<(String, i64)>,
    causes: Vec<(String, i64)>,
    /// Before it is started: the letters that it would leave alone.
    left_alone: Vec<LeftAlone>,
    rows: Vec<Row>,
    next: Option<String>,
    /// The fields of the form that starts it. Empty: it cannot be started.
    inputs: Vec<Input>,
    may_stop: bool,
    token: Uuid,
}

struct Row {
    letter: String,
    href: String,
    kind: String,
    queue: String,
    cause: String,
    outcome: Option<Mark>,
    why: String,
    at: Option<Moment>,
}

/// A list is for operators: it is what they act on.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    _: Operator,
    visit: Visit,
    Id(id): Id,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let page = params.page::<Uuid>()?;
    html(&BulkPage::read(&dashboard, &visit, id, Some((page, query))).await?)
}

impl BulkPage {
    /// Reads a run with a page of its items, by default the first.
    ///
    /// # Errors
    /// 404 if there is none.
    pub async fn read(
        dashboard: &Dashboard,
        visit: &Visit,
        id: Uuid,
        page: Option<(Page<Uuid>, Option<String>)>,
    ) -> Result<Self, ApiError> {
        let (page, query) = page.unwrap_or((Page { limit: SHOWN, after: None }, None));
        let work = async move |connection: &mut PgConnection| {
            let Some(run) = bulk_runs::get(connection, id).await? else { return Ok(None) };
            let tallies = bulk_runs::tallies(connection, id).await?;
            let items = bulk_runs::items(connection, id, one_more(&page)).await?;
            let is_prepared = run.started_at.is_none();
            let left_alone = if is_prepared { bulk_runs::left_alone(connection, &run).await? } else { Vec::new() };
            Ok(Some((run, tallies, items, left_alone)))
        };
        let (run, tallies, items, left_alone) = dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
        let layout = dashboard.layout(Some(visit)).at(SECTION);
        let (items, cursor) = paged(items, page.limit, |item| item.letter);
        let mut whole = Self::new(layout, &run, &tallies, dashboard.shell.ids.next());
        whole.left_alone = left_alone;
        whole.rows = items.iter().map(|it| row(&whole.layout, it)).collect();
        whole.next = Query::of(query.as_deref()).next(&whole.layout.url(&page_of(id)), cursor);
        Ok(whole)
    }

    fn new(layout: Layout, run: &Run, tallies: &[Tally], token: Uuid) -> Self {
        let is_under_way = run.started_at.is_some() && run.stopped_at.is_none() && run.finished_at.is_none();
        let may_start = layout.may_act() && run.started_at.is_none() && run.items > 0;
        let who = (run.started_by.clone().unwrap_or_default(), run.reason.clone().unwrap_or_default());
        Self {
            path: layout.url(&page_of(run.id)),
            title: title(run),
            act: run.act.clone(),
            status: status(&layout, run),
            items: run.items,
            is_cut: run.is_cut,
            prepared_by: run.prepared_by.clone(),
            prepared_at: run.prepared_at.into(),
            started: run.started_at.map(|at| (who.0, who.1, at.into())),
            ended: run.stopped_at.or(run.finished_at).map(Moment::from),
            done: tallies.iter().filter(|it| it.outcome.is_some()).map(|it| it.count).sum(),
            outcomes: sums(tallies.iter().filter_map(|it| Some((it.outcome.clone()?, it.count)))),
            causes: sums(tallies.iter().map(|it| (words(&it.cause), it.count))),
            left_alone: Vec::new(),
            rows: Vec::new(),
            next: None,
            inputs: if may_start { inputs() } else { Vec::new() },
            may_stop: layout.may_act() && is_under_way,
            token,
            layout,
        }
    }

    /// The page again, with what was typed and what is wrong with it.
    ///
    /// # Errors
    /// The refusal itself, if it is not about the form's fields.
    pub fn refused(mut self, token: Uuid, fields: &Fields, confirm: &str, refusal: ApiError) -> Result<Self, ApiError> {
        let is_shown = |error: &FieldError| ["/reason", "/confirm"].contains(&error.pointer.as_str());
        if refusal.kind() != Kind::ValidationFailed || !refusal.errors().iter().all(is_shown) || self.inputs.is_empty()
        {
            return Err(refusal);
        }
        for input in &mut self.inputs {
            input.filled(fields, refusal.errors());
            if input.name == "confirm" {
                confirm.clone_into(&mut input.value);
            }
        }
        self.token = token;
        Ok(self)
    }
}

fn inputs() -> Vec<Input> {
    let confirm = Input::new("confirm", "The count of the list", Control::Line);
    vec![Input::reason(), confirm.help("Type the number, so that it is this list that you mean.")]
}

/// Adds up the counts of equal words, in the order in which they come first.
fn sums(counts: impl Iterator<Item = (String, i64)>) -> Vec<(String, i64)> {
    let mut sums: Vec<(String, i64)> = Vec::new();
    for (word, count) in counts {
        match sums.iter_mut().find(|it| it.0 == word) {
            Some(sum) => sum.1 += count,
            None => sums.push((word, count)),
        }
    }
    sums
}

fn status(layout: &Layout, run: &Run) -> Mark {
    let (word, look) = match run {
        Run { stopped_at: Some(_), .. } => ("stopped", Look::Ended),
        Run { finished_at: Some(_), .. } => ("finished", Look::Good),
        Run { started_at: Some(_), .. } => ("under way", Look::Waiting),
        _ => ("prepared", Look::Waiting),
    };
    layout.mark(word, look)
}

fn row(layout: &Layout, item: &bulk_runs::Item) -> Row {
    let look = |outcome: &String| match outcome.as_str() {
        "done" | "already" => Look::Good,
        "failed" => Look::Urgent,
        _ => Look::Ended,
    };
    Row {
        letter: item.letter.to_string(),
        href: layout.url(&dead_letters::page_of(item.letter)),
        kind: words(&item.kind),
        queue: item.queue.clone(),
        cause: words(&item.cause),
        outcome: item.outcome.as_ref().map(|it| layout.mark(it, look(it))),
        why: item.why.clone().unwrap_or_default(),
        at: item.done_at.map(Moment::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_are_added_up() {
        let counts = [("a", 1), ("b", 2), ("a", 3)].map(|(word, count)| (word.to_owned(), count));
        assert_eq!(sums(counts.into_iter()), [("a".to_owned(), 4), ("b".to_owned(), 2)]);
    }
}
