//! An answer to a call, and its meaning by its status.
//!
//! A customer must not be told no because a gateway in between answered 400, and work must not fail for good because a key
//! expired. So a status has one meaning for every system, decided in [`Answer::judge`] alone; a system may only bring its own
//! form of a refusal ([`ReadRefusal`]). Pure: no state, nothing to lose.

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::CallError;
use super::json::{self, Prose, place, sanitize};
use crate::clock::Time;

/// Reads a system's final refusal from the body of a 400 or 422. None: the body is not that system's, for example a gateway's.
pub type ReadRefusal = fn(u16, &[u8]) -> Option<CallError>;

/// An answer, decompressed.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// At most 1 MiB.
    pub body: Vec<u8>,
    /// The pause that its `Retry-After` asks for.
    pub retry_after: Option<TimeDelta>,
}

impl Answer {
    /// The answer itself for a 2xx, and else the error that its status means:
    ///
    /// | status | meaning |
    /// |---|---|
    /// | 400, 422 with a code | the system's final refusal |
    /// | 400, 422 without a code | unusable: perhaps a gateway's |
    /// | 401, 403, 404, 405 | our misconfiguration, repeated like an outage, without effect |
    /// | 429 | throttled, without effect |
    /// | 408, 409, 425, 5xx | an outage; the call may have taken effect |
    /// | any other | unusable |
    pub fn judge(self, read_refusal: ReadRefusal) -> Result<Self, CallError> {
        let number = self.status.as_u16();
        let outage = |class, indeterminate| {
            Err(CallError::Outage { class, cause: format!("HTTP {number}"), after: self.retry_after, indeterminate })
        };
        let unusable = |why: &str| CallError::unusable(format!("HTTP {number}{why}"));
        match number {
            200..=299 => Ok(self),
            400 | 422 => Err(read_refusal(number, &self.body).unwrap_or_else(|| unusable(" without a code"))),
            401 | 403 | 404 | 405 => outage("misconfigured", false),
            429 => outage("throttled", false),
            408 | 409 | 425 => outage("busy", true),
            500..=599 => outage("server_error", true),
            _ => Err(unusable(": a status without a meaning here")),
        }
    }

    /// Its body, read as JSON; an answer of another shape is unusable.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        json::read(&self.body).map_err(|error| self.of_another_shape(&error))
    }

    #[must_use]
    pub fn of_another_shape(&self, error: &serde_json::Error) -> CallError {
        let status = self.status.as_u16();
        CallError::unusable(format!("HTTP {status}: not the JSON that was expected ({})", place(error)))
    }
}

/// The longest wait that is understood; callers cap it further (`BACKOFF_CAP`).
const MAX_WAIT: TimeDelta = TimeDelta::days(1);

/// The wait that a `Retry-After` asks for: a number of seconds, or a date in any of the three forms that a recipient must
/// accept (RFC 9110, sections 5.6.7 and 10.2.3).
#[must_use]
pub fn retry_after(value: &str, now: Time) -> Option<TimeDelta> {
    let value = value.trim();
    let asked = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a very long wait.
        value.chars().next().map(|_| value.parse().ok().and_then(TimeDelta::try_seconds).unwrap_or(MAX_WAIT))
    } else {
        httpdate::parse_http_date(value).ok().map(|date| Time::from(date) - now)
    };
    asked.map(|asked| asked.clamp(TimeDelta::zero(), MAX_WAIT))
}

#[derive(Deserialize)]
struct Refusal {
    code: Option<Code>,
    message: Option<Prose>,
}

/// A code is for programs, and is read strictly.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Word(String),
    Number(serde_json::Number),
}

/// Reads a refusal of the form `{"code": …, "message": …}`. A gateway may answer 400 and 422 too, with prose or its own status
/// as the code: that decides nothing about a customer.
#[must_use]
pub fn read_refusal(status: u16, body: &[u8]) -> Option<CallError> {
    let Refusal { code, message } = json::read(body).ok()?;
    let code = match code? {
        Code::Word(word) => word,
        Code::Number(number) => number.to_string(),
    };
    let message = sanitize(&message.map(|it| it.0).unwrap_or_default());
    (is_code(&code) && code != status.to_string()).then_some(CallError::Rejected { code, message })
}

/// Whether a text is a word for programs, which may stand in a log. Prose may quote the customer.
#[must_use]
pub fn is_code(text: &str) -> bool {
    let is_of_a_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=64).contains(&text.len())
        && text.bytes().all(is_of_a_word)
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::retry::Nature;

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
            Answer { status, body, retry_after: None }.judge(read_refusal).map(|_| ()).unwrap_err().nature()
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
        let deferred = |class| CallError::Deferred { class, after: TimeDelta::seconds(1) }.nature();
        assert_eq!((deferred("breaker_open"), deferred("throttled")), (Nature::Retryable, Nature::Throttled));
        assert_eq!(CallError::timeout().nature(), Nature::Indeterminate);
        assert_eq!(CallError::timeout().without_effect().nature(), Nature::Retryable);
    }
}
