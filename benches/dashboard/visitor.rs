//! A signed-in browser, without its window.

use std::net::SocketAddr;

use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, redirect};

use crate::service::TOKEN;

#[derive(Clone)]
pub struct Visitor {
    client: Client,
    base: String,
    cookie: String,
}

impl Visitor {
    pub async fn signed_in(service: SocketAddr) -> Self {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().expect("an HTTP client");
        let base = format!("http://{service}");
        let form = client.post(format!("{base}/login")).header("sec-fetch-site", "same-origin");
        let answer = form.form(&[("token", TOKEN), ("next", "/")]).send().await.expect("an answer");
        let cookie = answer.headers().get(SET_COOKIE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        assert!(!cookie.is_empty(), "the sign-in answers {}", answer.status());
        Self { client, base, cookie }
    }

    fn request(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).header(COOKIE, &self.cookie).header("accept", "text/html")
    }

    /// Status and text of a page; what went wrong on the way is its text.
    pub async fn page(&self, path: &str) -> (u16, String) {
        read(self.request(path).send().await).await
    }

    /// The same as the script asks.
    pub async fn ask(&self, path: &str, query: &[(&str, &str)]) -> (u16, String) {
        read(self.request(path).header("x-live", "1").query(query).send().await).await
    }
}

async fn read(answer: reqwest::Result<Response>) -> (u16, String) {
    match answer {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_else(|error| error.to_string())),
        Err(error) => (0, error.to_string()),
    }
}
