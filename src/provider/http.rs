//! The one client for every call out: a gate before each (`guard`), a deadline on each, no redirects, a bound on what is read, and errors by what they
//! mean for the work.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use chrono::TimeDelta;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::clock::{Clock, Time};
use crate::db::describe;
use crate::domain::retry::Nature;
use crate::guard::Gate;

/// The largest answer that is read.
const MAX_ANSWER: usize = 1_024 * 1_024;

/// What a failed call means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other side's final no.
    #[error("refused: {code}")]
    Rejected {
        /// Its code for why.
        code: String,
        /// Its words for why.
        message: String,
    },
    /// The other side, or the way to it, is out of order: it is waited out.
    #[error("{cause}")]
    Outage {
        /// `timeout`, `transport`, `server_error`, `throttled`, `busy`, `misconfigured`, `shutdown`, `database`
        class: &'static str,
        /// For people; never a body.
        cause: String,
        /// How long the other side asked us to wait.
        after: Option<TimeDelta>,
        /// Whether the call may have taken effect.
        indeterminate: bool,
    },
    /// It was not made: the breaker is open, the other side asked for a pause, or too many are under way.
    #[error("not made: {class}")]
    Held {
        /// `breaker_open`, `probing`, `throttled`, `crowded`; of tickets, `index_lag` and `overtaken`
        class: &'static str,
        /// When it may be let through.
        after: TimeDelta,
    },
    /// An answer that is none: it counts towards `MAX_ATTEMPTS`.
    #[error("{cause}")]
    Unusable {
        /// For people; never a body.
        cause: String,
        /// Whether the call may have taken effect.
        indeterminate: bool,
    },
}

impl CallError {
    /// The class, for metrics and attempts.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "rejected",
            Self::Outage { class, .. } | Self::Held { class, .. } => class,
            Self::Unusable { .. } => "unusable",
        }
    }

    /// An answer that is none, to a call that may have taken effect.
    #[must_use]
    pub fn unusable(cause: impl Into<String>) -> Self {
        Self::Unusable { cause: cause.into(), indeterminate: true }
    }

    /// No answer within the deadline.
    #[must_use]
    pub fn timeout() -> Self {
        let cause = "timeout: no complete answer".to_owned();
        Self::Outage { class: "timeout", cause, after: None, indeterminate: true }
    }

    /// Given up by us, since we are stopping.
    #[must_use]
    pub fn shutdown() -> Self {
        let cause = "shutdown: given up before its answer".to_owned();
        Self::Outage { class: "shutdown", cause, after: None, indeterminate: true }
    }

    /// The same error, of a call that only looked.
    #[must_use]
    pub fn without_effect(self) -> Self {
        match self {
            Self::Outage { class, cause, after, .. } => Self::Outage { class, cause, after, indeterminate: false },
            Self::Unusable { cause, .. } => Self::Unusable { cause, indeterminate: false },
            held @ Self::Held { .. } => held,
            // A look is never refused for good: its answer says nothing about the submission.
            Self::Rejected { code, .. } => {
                Self::Unusable { cause: format!("a look was refused: {code}"), indeterminate: false }
            }
        }
    }

    /// Whether the call may have taken effect.
    #[must_use]
    pub fn is_indeterminate(&self) -> bool {
        self.nature() == Nature::Indeterminate
    }

    /// What it says about what comes next.
    #[must_use]
    pub fn nature(&self) -> Nature {
        match self {
            Self::Rejected { .. } => Nature::Final,
            Self::Outage { indeterminate: true, .. } | Self::Unusable { indeterminate: true, .. } => {
                Nature::Indeterminate
            }
            Self::Outage { class: "throttled", .. } | Self::Held { class: "throttled", .. } => Nature::Throttled,
            Self::Outage { .. } | Self::Held { .. } | Self::Unusable { .. } => Nature::Retryable,
        }
    }

    /// Whether it is we alone who did not make the call: as many are under way as we make at once, of all calls or of probes.
    /// That says nothing about the other side.
    #[must_use]
    pub fn is_for_want_of_room(&self) -> bool {
        matches!(self, Self::Held { class: "crowded" | "probing", .. })
    }

    /// Whether somebody was there: any answer but a server's error shows it, also a refusal and one that cannot be used.
    /// Otherwise one request that a system cannot digest would keep all others from it.
    #[must_use]
    pub fn shows_health(&self) -> bool {
        match self {
            Self::Rejected { .. } | Self::Unusable { .. } | Self::Held { .. } => true,
            Self::Outage { class, .. } => !matches!(*class, "timeout" | "transport" | "server_error"),
        }
    }

    /// The pause that the other side asked of everybody: with 429 for our part, with 503 because it is not available
    /// (RFC 9110, section 10.2.3). With any other status it is about that one request.
    #[must_use]
    pub fn pause(&self) -> Option<TimeDelta> {
        match self {
            Self::Outage { class: "throttled" | "server_error", after, .. } => *after,
            _ => None,
        }
    }
}

/// Our own database, in the midst of a call: it is waited out, and nothing was sent for it.
impl From<sqlx::Error> for CallError {
    fn from(error: sqlx::Error) -> Self {
        let cause = format!("our database: {}", describe(&error));
        Self::Outage { class: "database", cause, after: None, indeterminate: false }
    }
}

/// An HTTP client whose every call has the same deadline.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    timeout: Duration,
}

/// An answer that is not an error by its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 2xx
    pub status: StatusCode,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    code: Option<String>,
    message: Option<String>,
    /// The ticket tracker's way to say why: sentences, and a sentence for each field.
    error_messages: Option<Vec<String>>,
    errors: Option<BTreeMap<String, String>>,
}

impl Client {
    /// A client with a deadline for each call, from connecting to the last byte of the answer.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        // Idempotent; whoever came first has installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("account-opening/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, timeout })
    }

    /// The deadline of each call.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A GET to be sent with [`Client::call`].
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.http.get(url)
    }

    /// A POST to be sent with [`Client::call`].
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.http.post(url)
    }

    /// Makes the call, if its gate lets it through.
    ///
    /// # Errors
    /// By meaning.
    pub async fn call(&self, gate: &Gate, request: RequestBuilder) -> Result<Answer, CallError> {
        gate.pass(Self::send(request, gate.clock())).await
    }

    async fn send(request: RequestBuilder, clock: &Clock) -> Result<Answer, CallError> {
        let mut response = request.send().await.map_err(|error| outage(&error))?;
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|it| retry_after(it.to_str().ok()?, clock.now()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| outage(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(CallError::unusable(format!("answer over {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Answer::judged(status, body, after)
    }

    /// Makes the call, if its gate lets it through, and reads its answer.
    ///
    /// # Errors
    /// By meaning; an answer of another shape is unusable.
    pub async fn call_json<T: DeserializeOwned>(&self, gate: &Gate, request: RequestBuilder) -> Result<T, CallError> {
        let answer = self.call(gate, request).await?;
        answer.json()
    }
}

impl Answer {
    /// What a status means, the same for every system that is called: 400 and 422 are final; 401, 403, 404 and 405 are our
    /// own misconfiguration and retried like an outage; 408, 409, 425, 429 and 5xx are retried.
    ///
    /// # Errors
    /// By meaning; `after` is how long the other side asked us to wait.
    pub fn judged(status: StatusCode, body: Vec<u8>, after: Option<TimeDelta>) -> Result<Self, CallError> {
        let number = status.as_u16();
        let cause = format!("HTTP {number}");
        let outage = |class, indeterminate| Err(CallError::Outage { class, cause, after, indeterminate });
        match number {
            200..=299 => Ok(Self { status, body }),
            400 | 422 => Err(refusal(number, &body)),
            401 | 403 | 404 | 405 => outage("misconfigured", false),
            429 => outage("throttled", false),
            408 | 409 | 425 => outage("busy", true),
            500..=599 => outage("server_error", true),
            _ => Err(CallError::unusable(format!("HTTP {number}: a status without a meaning here"))),
        }
    }

    /// Its body, read as JSON.
    ///
    /// # Errors
    /// An answer of another shape is unusable.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let status = self.status.as_u16();
            CallError::unusable(format!("HTTP {status}: not the JSON that was expected ({})", place(&error)))
        })
    }
}

/// The longest wait that anybody may ask for.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(1);

/// How long a `Retry-After` asks us to wait: a number of seconds, or until a date in any of the three forms that a recipient
/// must take (RFC 9110, sections 5.6.7 and 10.2.3).
#[must_use]
pub fn retry_after(value: &str, now: Time) -> Option<TimeDelta> {
    let value = value.trim();
    let asked = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit is a very long wait.
        value.chars().next().map(|_| value.parse().ok().and_then(TimeDelta::try_seconds).unwrap_or(LONGEST_WAIT))
    } else {
        httpdate::parse_http_date(value).ok().map(|date| Time::from(date) - now)
    };
    asked.map(|asked| asked.clamp(TimeDelta::zero(), LONGEST_WAIT))
}

fn outage(error: &reqwest::Error) -> CallError {
    let class = if error.is_timeout() { "timeout" } else { "transport" };
    let what = if error.is_connect() { "could not connect" } else { "no complete answer" };
    // A connection that was never made carried nothing.
    CallError::Outage { class, cause: format!("{class}: {what}"), after: None, indeterminate: !error.is_connect() }
}

/// A final no says so in its body; a 400 without it may come from something in between.
fn refusal(number: u16, body: &[u8]) -> CallError {
    match serde_json::from_slice(body) {
        Ok(Refusal { code, message, .. }) if code.is_some() || message.is_some() => CallError::Rejected {
            code: code.filter(|code| is_code(code)).unwrap_or_else(|| format!("http_{number}")),
            message: plain(&message.unwrap_or_default()),
        },
        Ok(Refusal { error_messages, errors, .. }) if error_messages.is_some() || errors.is_some() => {
            let fields: Vec<String> =
                errors.unwrap_or_default().into_keys().filter(|it| is_code(it)).take(10).collect();
            let about = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
            CallError::Rejected { code: format!("http_{number}{about}"), message: String::new() }
        }
        _ => CallError::unusable(format!("HTTP {number} without code and message")),
    }
}

/// A code is a word for programs, and may stand in a log. What is written for people may quote the customer.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Where and how JSON went wrong, without what stood there.
#[must_use]
pub fn place(error: &serde_json::Error) -> String {
    format!("{:?} at line {} column {}", error.classify(), error.line(), error.column())
}

/// Text from outside as it may be stored and shown: no control characters (Postgres' text takes no U+0000), at most 200
/// characters; a tab or a line end becomes a space. The raw bytes stay in the inbox.
#[must_use]
pub fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        c if !c.is_control() => c,
        c if c.is_whitespace() => ' ',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().take(200).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_any_form_of_a_date() {
        let now: Time = "1994-11-06T08:49:07Z".parse().unwrap();
        let seconds = |value: &str| retry_after(value, now).map(|it| it.num_seconds());
        for same in [
            "30",
            " 30 ",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(seconds(same), Some(30), "{same}");
        }
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:06 GMT"), Some(0), "a time that has passed asks for nothing");
        assert_eq!((seconds("0"), seconds("99999999999999999999")), (Some(0), Some(86_400)));
        assert_eq!(seconds("Fri, 31 Dec 9999 23:59:59 GMT"), Some(86_400));
        for wrong in ["", " ", "-1", "1.5", "soon", "+30", "06 Nov 1994"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_failure_says_what_comes_next() {
        let judged = |status: u16| {
            let body = br#"{"code":"no","message":"no"}"#.to_vec();
            let status = StatusCode::from_u16(status).unwrap();
            Answer::judged(status, body, None).map(|_| ()).unwrap_err().nature()
        };
        let expected = [
            (vec![400, 422], Nature::Final),
            (vec![401, 403, 404, 405], Nature::Retryable),
            (vec![429], Nature::Throttled),
            (vec![408, 409, 425, 500, 502, 503, 504, 302, 410], Nature::Indeterminate),
        ];
        for (statuses, nature) in expected {
            for status in statuses {
                assert_eq!(judged(status), nature, "{status}");
            }
        }
        let held = |class| CallError::Held { class, after: TimeDelta::seconds(1) }.nature();
        assert_eq!((held("breaker_open"), held("throttled")), (Nature::Retryable, Nature::Throttled));
        assert_eq!(CallError::timeout().nature(), Nature::Indeterminate);
        assert_eq!(CallError::timeout().without_effect().nature(), Nature::Retryable);
    }
}
