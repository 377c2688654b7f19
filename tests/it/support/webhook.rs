//! Webhooks as the bank sends them, and as others do.

use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::TestApp;

/// The bank's secret in tests.
pub fn secret() -> WebhookSecret {
    WebhookSecret::parse(DEVELOPMENT_WEBHOOK_SECRET).unwrap()
}

/// A webhook to be sent.
pub struct Webhook<'a> {
    app: &'a TestApp,
    public: String,
    path: String,
    id: String,
    body: Vec<u8>,
    secret: WebhookSecret,
    signed_ago: TimeDelta,
    headers: Vec<(&'static str, String)>,
    without: Vec<&'static str>,
}

impl<'a> Webhook<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        Self {
            app,
            public: app.public.clone(),
            path: "/webhooks/nexusbank".to_owned(),
            id: format!("msg_{}", app.state.shell.ids.next()),
            body: Vec::new(),
            secret: secret(),
            signed_ago: TimeDelta::zero(),
            headers: vec![("content-type", "application/json".to_owned())],
            without: Vec::new(),
        }
    }

    /// The message's id.
    pub fn id(mut self, id: &str) -> Self {
        self.id = id.to_owned();
        self
    }

    /// Says that the request with this tracking id has this status.
    pub fn status(self, tracking_id: &str, status: &str) -> Self {
        self.data(json!({"account_opening_request_id": tracking_id, "status": status}))
    }

    /// Says that the account is open.
    pub fn completed(self, tracking_id: &str, iban: &str) -> Self {
        self.data(json!({"account_opening_request_id": tracking_id, "status": "COMPLETED",
                         "iban": iban, "bic": "NEXUBEBB"}))
    }

    /// A message with this data.
    #[expect(clippy::needless_pass_by_value, reason = "tests write json!() in place")]
    pub fn data(self, data: Value) -> Self {
        let body = json!({"type": "account_opening_request.status_changed", "timestamp": self.app.now(), "data": data});
        self.body(body.to_string())
    }

    /// These bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Signed with another secret.
    pub fn signed_with(mut self, secret: &WebhookSecret) -> Self {
        self.secret = secret.clone();
        self
    }

    /// Signed some time ago (negative: some time from now).
    pub fn signed_ago(mut self, ago: TimeDelta) -> Self {
        self.signed_ago = ago;
        self
    }

    /// With this header, in place of one of the same name.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(held, _)| *held != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With one more line of this header.
    pub fn line(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Without this header.
    pub fn without(mut self, name: &'static str) -> Self {
        self.headers.retain(|(held, _)| *held != name);
        self.without.push(name);
        self
    }

    /// To another replica.
    pub fn to(mut self, public: &str) -> Self {
        self.public = public.to_owned();
        self
    }

    /// To another path.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Sends it and returns the answer.
    pub async fn send(self) -> reqwest::Response {
        let mut request = self.app.client.post(format!("{}{}", self.public, self.path));
        for (name, value) in self.all_headers() {
            request = request.header(name, value);
        }
        request.body(self.body).send().await.unwrap()
    }

    /// Sends it; it must be acknowledged.
    pub async fn acknowledged(self) {
        let response = self.send().await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }

    /// Sends it and returns the answer's status.
    pub async fn answered(self) -> u16 {
        self.send().await.status().as_u16()
    }

    /// The request as it goes over the wire.
    pub fn wire(self) -> Vec<u8> {
        let length = [("content-length", self.body.len().to_string())];
        let headers = length.into_iter().chain(self.all_headers()).map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers = headers.collect::<Vec<_>>().concat();
        let head = format!("POST {} HTTP/1.1\r\nhost: it\r\n{headers}", self.path);
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    fn all_headers(&self) -> Vec<(&'static str, String)> {
        let at = self.app.now() - self.signed_ago;
        let signed = [
            (signature::ID, self.id.clone()),
            (signature::TIMESTAMP, at.timestamp().to_string()),
            (signature::SIGNATURE, signature::sign(&self.secret, &self.id, at, &self.body)),
        ];
        let given = |name: &str| self.without.contains(&name) || self.headers.iter().any(|(held, _)| *held == name);
        let signed = signed.into_iter().filter(|(name, _)| !given(name));
        signed.chain(self.headers.iter().cloned()).collect()
    }
}
