//! Work at the ticket tracker. Jira has no idempotency key and its search lags behind; each ticket is still created
//! only once.
//!
//! A ticket with a known key is found by it, unless its issue was deleted. Otherwise the tracker is searched for the
//! ticket's unique label, and an issue is created only if the search finds none. A mark is committed before the create
//! call. After a lost answer or a crash the mark remains and limits how long the issue may exist without being found:
//! until then none is created, then the search is repeated. An answer that shows that nothing was created removes the
//! mark. An answer with the key replaces the mark in the commit that settles the work. A restarted database server may
//! have lost mark and key with its last commits, so its start counts as a mark of every ticket.
//!
//! The changes of one ticket are sent in order (`outbox::claim_in_turn`), and each comment contains the id of its work,
//! so that it is not repeated.

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::kind::{Answer, Attempt, Claim, Kind};
use crate::clock::Time;
use crate::context::Context;
use crate::db::outbox::{self, Claimed};
use crate::db::tickets::tracked::{self, Tracked};
use crate::db::{Page, WITHIN, conclude, openings, timeline};
use crate::domain::{Opening, TicketKind, Topic};
use crate::faults::Step;
use crate::inbox::timeline::add_words;
use crate::outbound::CallError;
use crate::outbound::json::sanitize;
use crate::services::Tracker;
use crate::services::tracker::{Category, Document, Issue, NewIssue, one_line, time};
use crate::telemetry::metrics;

/// The number of timeline items that a ticket shows.
const LATEST: usize = 20;
/// Timeline items read per page.
const PAGE: i64 = 200;
/// The name of the mark's commit in fault tests.
const MARK: &str = "ticket_mark";

/// A ticket with its work.
pub(super) struct Ticket {
    opening: Opening,
    tracked: Tracked,
    kind: TicketKind,
    revision: i64,
    why: String,
}

impl Ticket {
    /// The ticket of a row, if it exists.
    fn of(work: &Claimed, opening: &Opening, tickets: &[Tracked]) -> Option<Self> {
        let kind = kind(work)?;
        let revision = work.payload["revision"].as_i64()?;
        let why = sanitize(work.payload["why"].as_str().unwrap_or_default());
        let tracked = tickets.iter().find(|it| it.opening_id == opening.id.0 && it.kind == kind.as_str())?.clone();
        Some(Self { opening: opening.clone(), tracked, kind, revision, why })
    }

    /// The label that identifies the ticket's issue.
    fn label(&self) -> String {
        format!("account-opening-{}-{}", self.opening.id, self.kind)
    }

    /// A newer change was sent already, while this one was a dead letter.
    fn is_superseded(&self) -> bool {
        self.revision < self.tracked.revision
            && self.tracked.newest_waiting.is_none_or(|newest| newest <= self.revision)
    }
}

/// The kind of ticket that a row is about.
fn kind(work: &Claimed) -> Option<TicketKind> {
    work.payload["kind"].as_str()?.parse().ok()
}

pub(super) struct Tickets {
    pub context: Context,
    pub topic: Topic,
}

#[async_trait]
impl Kind for Tickets {
    type Prepared = Ticket;
    /// The tracker's key of the ticket.
    type Found = String;

    fn topic(&self) -> Topic {
        self.topic
    }

    fn has_target(&self) -> bool {
        self.context.outside.tracker.is_some()
    }

    async fn claim(&self, connection: &mut PgConnection, claim: Claim<'_>) -> sqlx::Result<Vec<Claimed>> {
        let Claim { topic, token, now, until, limit, .. } = claim;
        outbox::claim_in_turn(connection, topic, token, now, until, limit).await
    }

    async fn prepare(&self, connection: &mut PgConnection, claimed: &[Claimed]) -> sqlx::Result<Vec<Option<Ticket>>> {
        let ids: Vec<Uuid> = claimed.iter().filter_map(|it| it.opening_id).collect();
        let openings = openings::read(connection, &ids).await?;
        let tracked = tracked::read(connection, &ids).await?;
        let ticket = |work: &Claimed| {
            let opening = openings.iter().find(|it| Some(it.id.0) == work.opening_id)?;
            Ticket::of(work, opening, &tracked)
        };
        Ok(claimed.iter().map(ticket).collect())
    }

    async fn call(&self, work: &Claimed, token: Uuid, ticket: Ticket) -> Result<Answer<String>, CallError> {
        let tracker =
            self.context.outside.tracker.as_ref().ok_or_else(|| CallError::unusable("no tracker is configured"))?;
        if ticket.is_superseded() {
            return Ok(Answer::Obsolete);
        }
        match (self.topic, self.issue_of(tracker, &ticket).await?) {
            (Topic::OpenTicket, None) => self.create(tracker, work, token, &ticket).await,
            (Topic::OpenTicket, Some((key, issue))) => {
                // The issue was created by this work: there is nothing to add.
                if !issue.description.contains(&work.id.to_string()) {
                    tell(tracker, work, &ticket, &key, &issue, Category::Open).await?;
                }
                Ok(Answer::Taken("opened", Some(key)))
            }
            (_, None) => Ok(Answer::Taken("nothing_to_close", None)),
            (_, Some((key, issue))) => {
                tell(tracker, work, &ticket, &key, &issue, Category::Done).await?;
                Ok(Answer::Taken("closed", Some(key)))
            }
        }
    }

    /// Keeps a ticket's key, whether or not the lease still was ours: the ticket is there.
    async fn keep(&self, connection: &mut PgConnection, attempt: &Attempt<String>) -> sqlx::Result<()> {
        let Some((key, kind)) = attempt.found.as_ref().zip(kind(&attempt.work)) else { return Ok(()) };
        let Some(opening) = attempt.work.opening_id else { return Ok(()) };
        if let Some(other) = tracked::keep_key(connection, opening, kind, key).await? {
            tracing::error!(opening.id = %opening, %kind, keys = ?[other, key.clone()], "a ticket exists more than once at the tracker");
            metrics::tracker_duplicate();
        }
        Ok(())
    }

    /// The next work on the same tickets may have waited for this.
    fn settled(&self) {
        self.context.cell.wakers.relay(Topic::OpenTicket).notify_one();
        self.context.cell.wakers.relay(Topic::CloseTicket).notify_one();
    }
}

impl Tickets {
    /// The ticket's issue and its key. None: certainly no issue exists, or it was deleted.
    ///
    /// The tracker also answers 404 for issues hidden from our account. So a 404 counts only if the search, which needs
    /// access to the project, does not find the issue either; its key is then forgotten, so that another issue can be
    /// created.
    async fn issue_of(&self, tracker: &Tracker, ticket: &Ticket) -> Result<Option<(String, Issue)>, CallError> {
        let known = ticket.tracked.tracker_key.as_deref();
        if let Some(key) = known
            && let Some(issue) = tracker.look(key).await?
        {
            return Ok(Some((key.to_owned(), issue)));
        }
        let found = self.find(tracker, ticket).await?;
        if let Some(gone) = known.filter(|key| found.as_deref() != Some(*key)) {
            tracing::warn!(opening.id = %ticket.opening.id, kind = %ticket.kind, key = gone, "the tracker's issue of a ticket was deleted");
            let (opening, kind) = (ticket.tracked.opening_id, ticket.kind);
            self.with_database(async |connection| tracked::forget_key(connection, opening, kind, gone).await).await?;
        }
        let Some(key) = found else { return Ok(None) };
        let issue = tracker.look(&key).await?.ok_or_else(|| {
            // The search also lags behind deletions.
            let cause = "the search finds an issue that is not there".to_owned();
            CallError::Outage { class: "busy", cause, after: None, indeterminate: false }
        })?;
        Ok(Some((key, issue)))
    }

    /// The ticket's key by its label. None: certainly no issue exists.
    async fn find(&self, tracker: &Tracker, ticket: &Ticket) -> Result<Option<String>, CallError> {
        let asked = self.context.shell.clock.now();
        let mut found = tracker.find(&ticket.label()).await?;
        if found.len() > 1 {
            let opening = ticket.opening.id;
            tracing::error!(opening.id = %opening, kind = %ticket.kind, keys = ?found, "a ticket exists more than once at the tracker");
            metrics::tracker_duplicate();
        }
        if !found.is_empty() {
            return Ok(Some(found.swap_remove(0)));
        }
        let Tracked { creation_sent_at, server_noticed_at, .. } = ticket.tracked;
        // A server start that is not recorded yet counts as now.
        let sent = server_noticed_at.unwrap_or(asked).max(creation_sent_at.unwrap_or(Time::UNIX_EPOCH));
        let until = sent + self.hidden(tracker);
        if asked < until {
            return Err(CallError::Deferred { class: "index_lag", after: until - self.context.shell.clock.now() });
        }
        Ok(None)
    }

    /// How long after a create call the issue may exist without being found: the deadline of the call plus the lag of
    /// the search.
    fn hidden(&self, tracker: &Tracker) -> TimeDelta {
        self.context.policies.call_timeout + tracker.index_lag()
    }

    async fn create(
        &self,
        tracker: &Tracker,
        work: &Claimed,
        token: Uuid,
        ticket: &Ticket,
    ) -> Result<Answer<String>, CallError> {
        let id = (ticket.opening.id.0, ticket.kind);
        let items = self.with_database(async |connection| self.latest(connection, &ticket.opening).await).await?;
        let issue = self.issue(work, ticket, &items);
        let clock = &self.context.shell.clock;
        let mark = async |connection: &mut PgConnection| {
            let now = clock.now();
            let known_lost = now - self.hidden(tracker);
            let marked = tracked::mark_creation(connection, id, (work.id, token), known_lost, now).await?;
            Ok(marked.then_some(now))
        };
        let marked = self.context.shell.faults.around(MARK, Step::Commit, self.with_database(mark)).await?;
        // Another worker may be creating the issue; search again.
        let overtaken = CallError::Deferred { class: "overtaken", after: TimeDelta::seconds(1) };
        let marked = marked.ok_or_else(|| overtaken.clone())?;
        if clock.now() >= marked + self.context.policies.call_timeout {
            return Err(overtaken);
        }
        let created = tracker.create(&issue).await;
        if created.as_ref().is_err_and(|error| !error.is_indeterminate()) {
            let clear = self.with_database(async |connection| tracked::clear_mark(connection, id, marked).await);
            if let Err(error) = clear.await {
                tracing::warn!(outbox.id = %work.id, %error, "removing the mark of a failed create call failed; the next try waits for the index lag");
            }
        }
        created.map(|key| Answer::Taken("opened", Some(key)))
    }

    /// The issue's text for operators, without personal data.
    fn issue(&self, work: &Claimed, ticket: &Ticket, items: &[timeline::Item]) -> NewIssue {
        let Ticket { opening, kind, why, .. } = ticket;
        let reference = opening.state.reference().map_or("none yet", |it| it.as_str());
        let facts = [
            format!("State: {}", opening.state_name()),
            format!("Market: {}", opening.request.market),
            format!("Provider: {}", opening.request.provider),
            format!("Tracking id: {}", sanitize(reference)),
            format!("Started: {}", time(opening.created_at)),
            format!("Deadline: {}", time(opening.deadline_at)),
        ];
        let link = format!("{}/openings/{}", self.context.cell.effect_context.dashboard_url, opening.id);
        let description = Document::default()
            .paragraph(why)
            .list(facts)
            .paragraph("What happened last:")
            .list(items.iter().map(line))
            .link("The opening, with everything about it", &link)
            .paragraph(&reference_of(work));
        let labels = vec!["account-opening".to_owned(), kind.to_string(), ticket.label()];
        NewIssue { summary: one_line(&format!("{kind}: opening {}", opening.id)), description, labels }
    }

    /// The last items of the timeline.
    async fn latest(&self, connection: &mut PgConnection, opening: &Opening) -> sqlx::Result<Vec<timeline::Item>> {
        let mut latest = Vec::new();
        let mut after: Option<(Time, i32, String)> = None;
        loop {
            let page = timeline::list(connection, opening, Page { limit: PAGE, after }).await?;
            let is_last = i64::try_from(page.len()).unwrap_or(PAGE) < PAGE;
            after = page.last().map(|it| (it.at, it.rank, it.id.clone()));
            latest.extend(page);
            latest.drain(..latest.len().saturating_sub(LATEST));
            if is_last {
                add_words(connection, &self.context.outside.providers, &mut latest).await?;
                return Ok(latest);
            }
        }
    }

    /// Database work within a call: our own outage is handled like one of the tracker.
    async fn with_database<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, CallError> {
        let worked = async {
            let mut connection = self.context.cell.pool.acquire().await?;
            let result = tokio::time::timeout(WITHIN, work(&mut connection)).await;
            conclude(connection, result)
        };
        worked.await.map_err(CallError::from)
    }
}

/// Adds a comment unless it exists, and moves the issue unless it is in the right status.
async fn tell(
    tracker: &Tracker,
    work: &Claimed,
    ticket: &Ticket,
    key: &str,
    issue: &Issue,
    category: Category,
) -> Result<(), CallError> {
    let id = work.id.to_string();
    if !issue.comments.iter().any(|it| it.contains(&id)) {
        let now = format!("The opening is {} now.", ticket.opening.state_name());
        let comment = Document::default().paragraph(&ticket.why).paragraph(&now).paragraph(&reference_of(work));
        tracker.comment(key, &comment).await?;
    }
    if issue.category != category {
        tracker.move_to(key, category).await?;
    }
    Ok(())
}

fn reference_of(work: &Claimed) -> String {
    format!("Reference: {}", work.id)
}

/// A timeline item as a line: time, kind, result, and the provider's status word or the failure; nothing else of its
/// content.
fn line(item: &timeline::Item) -> String {
    let word = |name: &str| item.detail[name].as_str().unwrap_or("-");
    let what = match item.kind.as_str() {
        "transition" => format!("{} → {} ({}, {})", word("from"), word("to"), word("event"), word("source")),
        "ticket" | "case" => format!("{} {}", word("kind"), word("status")),
        _ => {
            let said = ["provider_status", "failure"].iter().find_map(|it| item.detail[it].as_str());
            format!("{} {}{}", word("status"), word("outcome"), said.map_or_else(String::new, |it| format!(": {it}")))
        }
    };
    sanitize(&format!("{}  {}: {what}", time(item.at), item.kind))
}
