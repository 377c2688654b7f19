//! The dashboard: sign-in, pages and acts. Most tests speak HTTP as a browser does; `browser` drives a real one.

mod access;
mod acts;
pub mod browser;
mod bulk;
mod canary;
mod cases;
mod dead_letters;
mod errors;
mod evidence;
mod fact;
mod flags;
mod forms;
mod help;
mod home;
mod hostile;
mod ledger;
mod live;
mod login;
mod modes;
mod opening;
mod openings;
mod providers;
mod record;
mod refused;
mod rehearsed;
mod reports;
mod sessions;
mod tickets;
mod unmatched;
mod uploads;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};

use crate::support::{TOKEN, TestApp};

const OPERATOR: &str = "operator-token";
const READER: &str = "reader-token";

/// A browser without a window: it keeps the session's cookie and says where its forms come from.
pub struct Visitor {
    client: Client,
    base: String,
    cookie: Option<String>,
}

impl Visitor {
    /// A visitor of this app, signed out.
    pub fn new(app: &TestApp) -> Self {
        Self::at(&app.internal)
    }

    pub fn at(base: &str) -> Self {
        let client =
            Client::builder().no_proxy().tls_certs_only([]).redirect(redirect::Policy::none()).build().unwrap();
        Self { client, base: base.to_owned(), cookie: None }
    }

    /// A visitor who signed in with this token.
    pub async fn signed_in(app: &TestApp, token: &str) -> Self {
        let mut visitor = Self::new(app);
        let answer = visitor.sign_in(token, "").await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        visitor
    }

    /// Sends the form of the sign-in.
    pub async fn sign_in(&mut self, token: &str, next: &str) -> Response {
        let answer = self.post("/login", &[("token", token), ("next", next)]).await;
        if let Some(set) = answer.headers().get(SET_COOKIE) {
            self.cookie = set.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        answer
    }

    /// The value of its session's cookie.
    pub fn session(&self) -> &str {
        self.cookie.as_deref().and_then(|it| it.split_once('=')).expect("it is signed in").1
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base)).header("accept", "text/html");
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// A page, whole.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "GET {path}: {text}");
        text
    }

    /// Sends a form from a page of the dashboard.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.request(Method::POST, path).header("sec-fetch-site", "same-origin").form(fields).send().await.unwrap()
    }

    /// Sends the form of an act as it stands on a page, with these fields beside its own.
    pub async fn act(&self, page: &str, act: &str, fields: &[(&str, &str)]) -> Response {
        let form = form(page, act);
        let own: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&form.action, &[&own, fields].concat()).await
    }
}

/// A form of a page: its address and hidden fields.
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// The form of an act on a page.
pub fn form(page: &str, act: &str) -> Form {
    let mark = format!(r#"data-act="{act}""#);
    let at = page.find(&mark).unwrap_or_else(|| panic!("no {act} on {page}"));
    let start = page[..at].rfind("<form").expect("its form");
    let html = &page[start..start + page[start..].find("</form>").unwrap()];
    let inputs = html.split("<input").skip(1).filter(|it| it.contains(r#"type="hidden""#));
    let fields = inputs.map(|it| (attribute(it, "name"), attribute(it, "value"))).collect();
    Form { action: attribute(html, "action"), fields }
}

fn attribute(html: &str, name: &str) -> String {
    let mark = format!(r#" {name}=""#);
    let at = html.find(&mark).unwrap_or_else(|| panic!("no {name} in {html}")) + mark.len();
    html[at..].split('"').next().unwrap().to_owned()
}

/// Every page of a list, from its first one.
pub async fn pages(visitor: &Visitor, path: &str) -> Vec<String> {
    let (mut pages, mut path) = (Vec::new(), path.to_owned());
    loop {
        let page = visitor.page(&path).await;
        let next =
            page.split("rel=\"next\" href=\"").nth(1).map(|it| it.split('"').next().unwrap().replace("&#38;", "&"));
        pages.push(page);
        match next {
            Some(next) => path = next,
            None => return pages,
        }
    }
}

/// The part of a page that says what an act will do.
pub fn rehearsal(page: &str) -> &str {
    page.split("data-rehearsal").nth(1).unwrap().split("</section>").next().unwrap()
}

/// The addresses of the links to an act.
pub fn links<'a>(page: &'a str, act: &str) -> Vec<&'a str> {
    let mark = format!(r#"" data-act="{act}""#);
    let before: Vec<&str> = page.split(mark.as_str()).collect();
    before[..before.len() - 1].iter().map(|it| it.rsplit("href=\"").next().unwrap()).collect()
}

/// Another replica in the mode `read-only`: its internal address.
pub async fn read_only(app: &TestApp) -> String {
    use account_opening::app::Parts;
    use account_opening::config::Mode;
    use account_opening::domain::chain::HistoryKey;
    use account_opening::http::internal;
    use account_opening::http::listener::Limits;

    let mut settings = (*app.state.settings).clone();
    settings.dashboard.mode = Mode::ReadOnly;
    let key = HistoryKey::new(&crate::support::KEY);
    let parts = Parts::new(settings, app.state.cell.pool.clone(), key, app.clock.clone()).unwrap();
    let limits = Limits::inside(&parts.state.settings);
    crate::support::listen_as(internal::router(parts.state), limits).await
}

/// The path that an answer leads to.
pub fn location(answer: &Response) -> &str {
    answer.headers()[LOCATION].to_str().unwrap()
}

/// The acts that the service recorded, oldest first: the operator's name, the action and its subject.
pub async fn recorded(app: &TestApp) -> Vec<(String, String, String)> {
    let sql = "select who, action, subject from operator_actions order by id";
    sqlx::query_as(sql).fetch_all(&app.pool).await.unwrap()
}

/// The same, the acts alone.
pub async fn recorded_acts(app: &TestApp) -> Vec<String> {
    recorded(app).await.into_iter().map(|(_, action, _)| action).collect()
}

/// The headers of §4, on every page.
pub fn has_the_headers_of_a_page(headers: &HeaderMap) {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action \
                  'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types \
                  account-opening";
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(headers[name], value);
    }
}

/// Another replica on the same database: its internal address.
pub async fn replica(app: &TestApp, tokens: &str) -> String {
    use account_opening::app::Parts;
    use account_opening::domain::chain::HistoryKey;
    use account_opening::http::internal;
    use account_opening::http::listener::Limits;

    let mut settings = (*app.state.settings).clone();
    let mut raw = account_opening::config::RawSettings::defaults().unwrap();
    raw.environment = "sandbox".to_owned();
    raw.api_tokens = tokens.to_owned();
    settings.api_tokens = raw.checked().unwrap().api_tokens;
    let key = HistoryKey::new(&crate::support::KEY);
    let parts = Parts::new(settings, app.state.cell.pool.clone(), key, app.clock.clone()).unwrap();
    let limits = Limits::inside(&parts.state.settings);
    crate::support::listen_as(internal::router(parts.state), limits).await
}

/// The tokens of every app.
pub fn tokens() -> String {
    format!("admin:{TOKEN},reader:{READER}:reader,caller:caller-token:caller,operator:{OPERATOR}:operator")
}
