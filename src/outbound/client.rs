//! The one client for every call out: a gate before each ([`Gate`]), a deadline on each, no redirects, no proxy, a bound on
//! what is read, and errors by what they mean for the work.

use std::io::Read;
use std::time::Duration;

use axum::http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use chrono::TimeDelta;
use flate2::read::MultiGzDecoder;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::json::{self, Prose};
use super::{CallError, Gate};
use crate::clock::{Clock, Time};

/// The largest answer that is read, before and after it was decompressed.
const MAX_ANSWER: usize = 1_024 * 1_024;

/// Reads a system's final no from the body of its 400 or 422. None: the body is another's, such as a gateway's in between.
pub type ReadRefusal = fn(u16, &[u8]) -> Option<CallError>;

/// An HTTP client whose every call has the same deadline.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    timeout: Duration,
    refusal: ReadRefusal,
}

/// An answer that is not an error by its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 2xx
    pub status: StatusCode,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

/// An answer as it came, decompressed.
struct Response {
    status: StatusCode,
    body: Vec<u8>,
    after: Option<TimeDelta>,
}

#[derive(Deserialize)]
struct Refusal {
    code: Option<Code>,
    message: Option<Prose>,
}

/// A code is for programs, and read strictly.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Word(String),
    Number(serde_json::Number),
}

impl Client {
    /// A client with a deadline for each call, from connecting to the last byte of the answer. No call goes through a proxy,
    /// whatever the environment says: it would see the keys of other systems and the customers' data. Compression is declined.
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
            .no_proxy()
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .user_agent(concat!("account-opening/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, timeout, refusal })
    }

    /// The same client for a system that says its final no in another form.
    #[must_use]
    pub fn refused_as(self, refusal: ReadRefusal) -> Self {
        Self { refusal, ..self }
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
        gate.pass(async { Self::send(request, gate.clock()).await?.judged(self.refusal) }).await
    }

    async fn send(request: RequestBuilder, clock: &Clock) -> Result<Response, CallError> {
        let mut response = request.send().await.map_err(|error| outage(&error))?;
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|it| retry_after(it.to_str().ok()?, clock.now()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| outage(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let body = match decompressed(body) {
            Err(error) if status.is_success() => return Err(error),
            // The status of an error says enough.
            body => body.unwrap_or_default(),
        };
        Ok(Response { status, body, after })
    }

    /// Looks at a thing that may be gone, if the gate lets the call through: none for a 404.
    ///
    /// # Errors
    /// By meaning; an answer of another shape is unusable. A look has no effect.
    pub async fn look<T: DeserializeOwned>(
        &self,
        gate: &Gate,
        request: RequestBuilder,
    ) -> Result<Option<T>, CallError> {
        let looking = async {
            let response = Self::send(request, gate.clock()).await?;
            if response.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            response.judged(self.refusal).map(Some)
        };
        let answer = gate.pass(looking).await.map_err(CallError::without_effect)?;
        answer.map(|it| it.json()).transpose().map_err(CallError::without_effect)
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

impl Response {
    fn judged(self, refusal: ReadRefusal) -> Result<Answer, CallError> {
        let Self { status, body, after } = self;
        let number = status.as_u16();
        let cause = format!("HTTP {number}");
        let outage = |class, indeterminate| Err(CallError::Outage { class, cause, after, indeterminate });
        match number {
            200..=299 => Ok(Answer { status, body }),
            400 | 422 => {
                Err(refusal(number, &body)
                    .unwrap_or_else(|| CallError::unusable(format!("HTTP {number} without a code"))))
            }
            401 | 403 | 404 | 405 => outage("misconfigured", false),
            429 => outage("throttled", false),
            408 | 409 | 425 => outage("busy", true),
            500..=599 => outage("server_error", true),
            _ => Err(CallError::unusable(format!("HTTP {number}: a status without a meaning here"))),
        }
    }
}

impl Answer {
    /// What a status means, the same for every system that is called: 400 and 422 with a code are final, without one they may be
    /// a gateway's and are unusable; 401, 403, 404 and 405 are our own misconfiguration and retried like an outage; 408, 409, 425,
    /// 429 and 5xx are retried.
    ///
    /// # Errors
    /// By meaning; `after` is how long the other side asked us to wait.
    pub fn judged(status: StatusCode, body: Vec<u8>, after: Option<TimeDelta>) -> Result<Self, CallError> {
        Response { status, body, after }.judged(refusal)
    }

    /// Its body, read as JSON.
    ///
    /// # Errors
    /// An answer of another shape is unusable.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        json::read(&self.body).map_err(|error| self.of_another_shape(&error))
    }

    /// That its body is not the JSON that was expected.
    #[must_use]
    pub fn of_another_shape(&self, error: &serde_json::Error) -> CallError {
        let status = self.status.as_u16();
        CallError::unusable(format!("HTTP {status}: not the JSON that was expected ({})", place(error)))
    }
}

/// The longest wait that is understood. How much of it is granted is for those who wait: `RetryPolicy` and a gate's pauses end
/// each at `BACKOFF_CAP`.
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

fn too_large() -> CallError {
    CallError::unusable(format!("answer over {MAX_ANSWER} bytes"))
}

/// The body without its compression. Every request declines it; some compress all the same, and no JSON begins like gzip (RFC 1952,
/// section 2.3.1), so the header is not asked.
fn decompressed(body: Vec<u8>) -> Result<Vec<u8>, CallError> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let mut plain = Vec::new();
    // One byte more than may be shows that there is more: a small body may stand for a very large one.
    let read = MultiGzDecoder::new(&*body).take(MAX_ANSWER as u64 + 1).read_to_end(&mut plain);
    match read {
        Ok(length) if length <= MAX_ANSWER => Ok(plain),
        Ok(_) => Err(too_large()),
        Err(_) => Err(CallError::unusable("answer with a broken compression")),
    }
}

/// A final no has a code, as the bank's API documents it. What is in between answers 400 and 422 too, in words alone or with its
/// status for a code: such an answer decides nothing about a customer.
fn refusal(number: u16, body: &[u8]) -> Option<CallError> {
    let Refusal { code, message } = json::read(body).ok()?;
    let code = match code? {
        Code::Word(word) => word,
        Code::Number(number) => number.to_string(),
    };
    let message = sanitize(&message.map(|it| it.0).unwrap_or_default());
    (is_code(&code) && code != number.to_string()).then_some(CallError::Rejected { code, message })
}

/// A code is a word for programs, and may stand in a log. What is written for people may quote the customer.
#[must_use]
pub fn is_code(text: &str) -> bool {
    let is_of_a_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=64).contains(&text.len())
        && text.bytes().all(is_of_a_word)
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Where and how JSON went wrong, without what stood there.
#[must_use]
pub fn place(error: &serde_json::Error) -> String {
    format!("{:?} at line {} column {}", error.classify(), error.line(), error.column())
}

/// Text from outside as it may be stored and shown: no control characters (Postgres' text takes no U+0000), at most 200
/// characters; a tab or a line end becomes a space. The raw bytes stay in the inbox.
#[must_use]
pub fn sanitize(text: &str) -> String {
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

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, body).unwrap();
        encoder.finish().unwrap()
    }

    /// F8
    #[test]
    fn a_compressed_answer_is_read_up_to_the_bound_and_a_broken_one_is_unusable() {
        let body = br#"{"status":"COMPLETED"}"#;
        assert_eq!(decompressed(body.to_vec()).unwrap(), body);
        assert_eq!(decompressed(gzip(body)).unwrap(), body);
        assert_eq!(decompressed([gzip(b"{"), gzip(b"}")].concat()).unwrap(), b"{}", "several members are one body");
        assert_eq!(decompressed(gzip(&vec![b' '; MAX_ANSWER])).unwrap().len(), MAX_ANSWER);
        let bomb = gzip(&vec![b' '; 64 * MAX_ANSWER]);
        assert!(bomb.len() < MAX_ANSWER, "{}", bomb.len());
        let cut = gzip(body)[..20].to_vec();
        for (wrong, cause) in [(bomb, "answer over 1048576 bytes"), (cut, "answer with a broken compression")] {
            let error = decompressed(wrong).unwrap_err();
            assert_eq!(
                (error.class(), error.is_indeterminate(), error.to_string().as_str()),
                ("unusable", true, cause)
            );
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
        let deferred = |class| CallError::Deferred { class, after: TimeDelta::seconds(1) }.nature();
        assert_eq!((deferred("breaker_open"), deferred("throttled")), (Nature::Retryable, Nature::Throttled));
        assert_eq!(CallError::timeout().nature(), Nature::Indeterminate);
        assert_eq!(CallError::timeout().without_effect().nature(), Nature::Retryable);
    }
}
