//! Live updates: a browser asks whether what it shows has changed, and is answered from memory.
//!
//! A page names what it shows ([`Watch`]) and holds the mark that this had before the page was read. [`Live::look`] reads the
//! marks of all that is watched, and which sessions are still live, in one statement a second for any number of browsers.
//! Without browsers it reads nothing. A crash loses what is watched: the browsers ask again.
//!
//! A mark that is older than its page leads to one more look at the page, and never to a change that is not shown.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::TimeDelta;

use super::Dashboard;
use super::session::{SessionCookie, look};
use crate::clock::Time;
use crate::context::{Context, Policies};
use crate::db::live::{self, Watched};
use crate::db::sessions::Oldest;
use crate::db::{WITHIN, conclude};
use crate::domain::OpeningId;
use crate::driver::TickError;
use crate::http::internal::page::Params;
use crate::http::internal::path::uuid;
use crate::http::problem::{ApiError, Kind};
use crate::outbound::Gates;

/// The task drops a page that no browser has asked about for so long. Browsers ask every 5 seconds, of each replica in turn.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::seconds(15);
/// A session that was live so long ago is looked up again: an end holds within two seconds.
const LIVE_FOR: TimeDelta = TimeDelta::milliseconds(1_800);
/// The most things and sessions watched at once. Pages beyond it are not live.
const MAX_WATCHED: usize = 1_000;

/// The watched content of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watch {
    All,
    /// All, and what people did that no other page shows: sign-ins, exports.
    Acts,
    Opening(OpeningId),
}

impl Watch {
    /// The watched content of the page at this path below the prefix.
    #[must_use]
    pub fn of_page(path: &str) -> Self {
        match path {
            "/acts" | "/account" => Self::Acts,
            _ => path.strip_prefix("/openings/").and_then(uuid).map_or(Self::All, |id| Self::Opening(OpeningId(id))),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "all" => Some(Self::All),
            None if text == "acts" => Some(Self::Acts),
            Some(("opening", id)) => uuid(id).map(|it| Self::Opening(OpeningId(it))),
            _ => None,
        }
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Acts => f.write_str("acts"),
            Self::Opening(id) => write!(f, "opening:{id}"),
        }
    }
}

/// All that is watched on this replica.
#[derive(Clone, Default)]
pub struct Live(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    watched: HashMap<Watch, Mark>,
    /// When each session that asks was last found to be live, by the digest of its cookie.
    sessions: HashMap<[u8; 32], Time>,
}

struct Mark {
    asked_at: Time,
    /// None: not read yet.
    mark: Option<String>,
}

impl Live {
    /// The mark of what a page is about to show; empty: it is not known yet.
    #[must_use]
    pub fn mark(&self, watch: Watch) -> String {
        self.inner().watched.get(&watch).and_then(|it| it.mark.clone()).unwrap_or_default()
    }

    /// Whether what a page shows has another mark than `seen`. From now on its mark is read.
    fn has_changed(&self, watch: Watch, seen: &str, now: Time) -> bool {
        let mut inner = self.inner();
        let is_new = matches!(watch, Watch::Opening(_)) && !inner.watched.contains_key(&watch);
        if is_new && inner.watched.len() >= MAX_WATCHED {
            return false;
        }
        let mark = inner.watched.entry(watch).or_insert(Mark { asked_at: now, mark: None });
        mark.asked_at = now;
        mark.mark.as_ref().is_some_and(|it| it != seen)
    }

    fn is_live(&self, session: &[u8; 32], now: Time) -> bool {
        self.inner().sessions.get(session).is_some_and(|at| (TimeDelta::zero()..LIVE_FOR).contains(&(now - *at)))
    }

    fn found(&self, session: [u8; 32], now: Time) {
        let mut inner = self.inner();
        if inner.sessions.len() < MAX_WATCHED {
            inner.sessions.insert(session, now);
        }
    }

    /// Reads the marks of all that is watched, in one statement, and returns how many changed. Nothing is watched: reads nothing.
    ///
    /// # Errors
    /// When the database is away; the marks stay as they were.
    pub async fn look(&self, context: &Context) -> Result<usize, TickError> {
        let now = context.shell.clock.now();
        let watched = self.watched(now);
        if !watched.all && watched.openings.is_empty() {
            return Ok(0);
        }
        let Policies { session_idle, session_max, .. } = context.policies;
        let oldest = Oldest::at(now, session_idle, session_max);
        let mut connection = context.cell.pool.acquire().await?;
        let result = tokio::time::timeout(WITHIN, live::read(&mut connection, &watched, oldest)).await;
        let seen = conclude(connection, result)?;
        Ok(self.learn(&watched, seen, &context.outside.gates, now))
    }

    fn watched(&self, now: Time) -> Watched {
        let mut inner = self.inner();
        inner.watched.retain(|_, it| now - it.asked_at <= FORGOTTEN_AFTER);
        if inner.watched.is_empty() {
            inner.sessions.clear();
        }
        let opening = |watch: &Watch| if let Watch::Opening(id) = watch { Some(id.0) } else { None };
        Watched {
            all: [Watch::All, Watch::Acts].iter().any(|it| inner.watched.contains_key(it)),
            openings: inner.watched.keys().filter_map(opening).collect(),
            sessions: inner.sessions.keys().map(|it| it.to_vec()).collect(),
        }
    }

    fn learn(&self, watched: &Watched, seen: Vec<live::Seen>, gates: &Gates, now: Time) -> usize {
        let mut inner = self.inner();
        let is_live = |digest: &[u8]| seen.iter().any(|it| it.session.as_deref() == Some(digest));
        // A session that came while the statement ran is in no answer yet.
        inner.sessions.retain(|digest, _| is_live(digest) || !watched.sessions.iter().any(|it| it == digest));
        for (digest, at) in &mut inner.sessions {
            if is_live(digest) {
                *at = now;
            }
        }
        let marks = seen.into_iter().filter(|it| it.session.is_none());
        let marks = marks.flat_map(|it| {
            if let Some(id) = it.opening {
                return vec![(Watch::Opening(OpeningId(id)), it.mark)];
            }
            let all = it.mark + &phases(gates);
            vec![(Watch::Acts, format!("{all}-{}", it.newest_act)), (Watch::All, all)]
        });
        let mut changed = 0;
        for (watch, mark) in marks {
            if let Some(known) = inner.watched.get_mut(&watch) {
                changed += usize::from(known.mark.as_ref() != Some(&mark));
                known.mark = Some(mark);
            }
        }
        changed
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The breakers of this replica stand in no table.
fn phases(gates: &Gates) -> String {
    gates.all().iter().filter_map(|gate| gate.phase().as_str().chars().next()).collect()
}

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/live", get(ask))
}

/// `GET /live?watch=…&seen=…`: `changed`, or 204. It does not prolong the session.
async fn ask(
    State(dashboard): State<Arc<Dashboard>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&["watch", "seen"])?;
    let watch = params.read("watch", |text| Watch::parse(text).ok_or("must be what a page watches".to_owned()))?;
    let watch = watch.ok_or(ApiError::field("/watch", "is required"))?;
    let session = SessionCookie::read(&headers).ok_or(ApiError::new(Kind::Unauthenticated))?.digest();
    let now = dashboard.shell.clock.now();
    if !dashboard.live.is_live(&session, now) {
        look(&dashboard, &headers).await?.ok_or(ApiError::new(Kind::Unauthenticated))?;
        dashboard.live.found(session, now);
    }
    if dashboard.live.has_changed(watch, params.text("seen"), now) {
        return Ok("changed".into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn seen(mark: &str) -> Vec<live::Seen> {
        vec![live::Seen { opening: None, session: None, mark: mark.to_owned(), newest_act: String::new() }]
    }

    fn gates() -> Gates {
        let rules = crate::outbound::breaker::Rules {
            failures: 1,
            probes: 1,
            open_for: TimeDelta::seconds(1),
            longest_pause: TimeDelta::seconds(1),
        };
        Gates::new(rules, 1, crate::clock::Clock::manual(at(0)))
    }

    #[test]
    fn a_page_has_changed_once_its_mark_is_another_and_not_before_the_mark_is_known() {
        let live = Live::default();
        assert!(!live.has_changed(Watch::All, "", at(0)), "nothing is known yet");
        let watched = live.watched(at(1));
        assert!(watched.all && watched.openings.is_empty());
        assert_eq!(live.learn(&watched, seen("1"), &gates(), at(1)), 1);
        assert!(live.has_changed(Watch::All, "", at(5)), "the page was read before its mark was known");
        assert_eq!(live.mark(Watch::All), "1");
        assert!(!live.has_changed(Watch::All, "1", at(5)));
        assert_eq!(live.learn(&watched, seen("1"), &gates(), at(6)), 0);
        live.learn(&watched, seen("2"), &gates(), at(7));
        assert!(live.has_changed(Watch::All, "1", at(10)));
    }

    #[test]
    fn nothing_is_read_for_what_no_browser_asks_about_any_more() {
        let live = Live::default();
        live.has_changed(Watch::All, "", at(0));
        assert!(live.watched(at(15)).all);
        assert!(!live.watched(at(16)).all);
        assert_eq!(live.mark(Watch::All), "");
    }

    #[test]
    fn a_session_that_is_not_found_again_is_looked_up_by_its_next_question() {
        let live = Live::default();
        live.has_changed(Watch::All, "", at(0));
        live.found([1; 32], at(0));
        assert!(live.is_live(&[1; 32], at(1)) && !live.is_live(&[1; 32], at(2)) && !live.is_live(&[2; 32], at(0)));
        let watched = live.watched(at(1));
        let session =
            live::Seen { opening: None, session: Some(vec![1; 32]), mark: String::new(), newest_act: String::new() };
        live.learn(&watched, vec![session], &gates(), at(2));
        assert!(live.is_live(&[1; 32], at(3)));
        live.learn(&watched, Vec::new(), &gates(), at(3));
        assert!(!live.is_live(&[1; 32], at(3)), "it has ended");
    }

    #[test]
    fn a_watch_is_read_as_it_is_written() {
        for watch in [Watch::All, Watch::Acts, Watch::Opening(OpeningId(Uuid::from_u128(7)))] {
            assert_eq!(Watch::parse(&watch.to_string()), Some(watch));
        }
        for wrong in ["", "All", "opening", "opening:", "opening:x", "case:1", "all:all"] {
            assert_eq!(Watch::parse(wrong), None, "{wrong}");
        }
    }
}
