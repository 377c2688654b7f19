//! The only HTTP client of the service.
//!
//! A slow, lying or flooding system must cost no more than one call. So each request passes its operation's [`Gate`], has one
//! deadline from connecting to the last byte, follows no redirect, uses no proxy, and reads at most 1 MiB, also after
//! decompression. Each answer is judged by [`Answer::judge`]. A crash in a call leaves its outcome unknown: the lease of the
//! work runs out, and the work is repeated under the same key.

use std::io::Read;
use std::time::Duration;

use axum::http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use flate2::read::MultiGzDecoder;
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, ReadRefusal, read_refusal, retry_after};
use super::{Bearer, CallError, Gate};
use crate::clock::Clock;

/// The largest answer that is read, before and after decompression.
const MAX_ANSWER: usize = 1_024 * 1_024;

#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    timeout: Duration,
    read_refusal: ReadRefusal,
}

impl Client {
    /// A client with one deadline for each call. It ignores proxy settings of the environment: a proxy would see API keys and
    /// customers' data.
    pub fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        // Fails only where the same provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .user_agent(concat!("account-opening/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, timeout, read_refusal })
    }

    /// The same client for a system with another form of refusal.
    #[must_use]
    pub fn refused_as(self, read_refusal: ReadRefusal) -> Self {
        Self { read_refusal, ..self }
    }

    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub fn get(&self, url: &str) -> RequestBuilder {
        self.http.get(url)
    }

    pub fn post(&self, url: &str) -> RequestBuilder {
        self.http.post(url)
    }

    /// Sends a request, if its gate permits it.
    pub async fn call(&self, gate: &Gate, request: RequestBuilder) -> Result<Answer, CallError> {
        pass(gate, request, |answer| answer.judge(self.read_refusal)).await
    }

    /// The same with a judge of its own, where a status of this call means something else than usually.
    pub async fn call_judged<T>(
        &self,
        gate: &Gate,
        request: RequestBuilder,
        judge: impl FnOnce(Answer) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        pass(gate, request, judge).await
    }

    /// Calls with a held token. An answer 401 says that the token has expired early: it is replaced, and the call is made once
    /// more; a second 401 is a misconfiguration. All of it shares the deadline of one call.
    pub async fn authorized<T>(
        &self,
        gate: &Gate,
        bearer: &Bearer,
        make: impl Fn() -> RequestBuilder,
        judge: impl Fn(Answer) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let deadline = Instant::now() + self.timeout;
        // The caller's own time limit is as long, and cannot know that nothing was sent: the wait for a token ends before it.
        let token_by = deadline.checked_sub(self.timeout / 10).unwrap_or(deadline);
        let judge = |answer: Answer| match answer.status {
            StatusCode::UNAUTHORIZED => Ok(None),
            _ => judge(answer).map(Some),
        };
        for _ in 0..2 {
            let token = bearer.get(token_by).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            let request = make().bearer_auth(token.expose_secret()).timeout(left);
            if let Some(answer) = pass(gate, request, judge).await? {
                return Ok(answer);
            }
            // Another call may hold the token while it fetches one; then the next look fails in time.
            let _ = timeout_at(token_by, bearer.forget(&token)).await;
        }
        Err(CallError::misconfigured("HTTP 401, also with a new token"))
    }

    /// Sends a request, if its gate permits it, and reads the JSON of the answer.
    pub async fn call_json<T: DeserializeOwned>(&self, gate: &Gate, request: RequestBuilder) -> Result<T, CallError> {
        self.call(gate, request).await?.json()
    }

    /// Reads a resource that may be gone: none for a 404. A read has no effect, so its errors are never indeterminate.
    pub async fn look<T: DeserializeOwned>(
        &self,
        gate: &Gate,
        request: RequestBuilder,
    ) -> Result<Option<T>, CallError> {
        let judge = |answer: Answer| match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => answer.judge(self.read_refusal).map(Some),
        };
        let answer = pass(gate, request, judge).await.map_err(CallError::without_effect)?;
        answer.map(|it| it.json()).transpose().map_err(CallError::without_effect)
    }
}

/// The judgement runs inside the gate: it tells the breaker how the call ended.
async fn pass<T>(
    gate: &Gate,
    request: RequestBuilder,
    judge: impl FnOnce(Answer) -> Result<T, CallError>,
) -> Result<T, CallError> {
    gate.pass(async { judge(send(request, gate.clock()).await?) }).await
}

async fn send(request: RequestBuilder, clock: &Clock) -> Result<Answer, CallError> {
    let mut response = request.send().await?;
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|it| retry_after(it.to_str().ok()?, clock.now()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    let body = match decompressed(body) {
        Err(error) if status.is_success() => return Err(error),
        // An error's status suffices.
        body => body.unwrap_or_default(),
    };
    Ok(Answer { status, body, retry_after })
}

fn too_large() -> CallError {
    CallError::unusable(format!("answer over {MAX_ANSWER} bytes"))
}

/// The body without gzip. Requests decline compression, but some servers compress all the same. No JSON begins like gzip
/// (RFC 1952, section 2.3.1), so the header is not needed.
fn decompressed(body: Vec<u8>) -> Result<Vec<u8>, CallError> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let mut decoded = Vec::new();
    // One byte more than the limit shows that the limit is passed, without expanding a compression bomb.
    let read = MultiGzDecoder::new(&*body).take(MAX_ANSWER as u64 + 1).read_to_end(&mut decoded);
    match read {
        Ok(length) if length <= MAX_ANSWER => Ok(decoded),
        Ok(_) => Err(too_large()),
        Err(_) => Err(CallError::unusable("answer with a broken compression")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
