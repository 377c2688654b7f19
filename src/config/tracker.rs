//! The settings of the ticket tracker: all of them, or none and tickets are kept in the built-in table alone.

use chrono::TimeDelta;
use clap::Args;
use secrecy::SecretString;

use super::parse::{self, Checker};

pub(super) const EMAIL: &str = "the e-mail address of an account there";
const PROJECT: &str = "a project's key: a letter, then letters, digits and underscores";

/// The settings as text.
#[derive(Args, Clone)]
pub struct RawTracker {
    /// The ticket tracker: the https address of a Jira Cloud site [default: tickets are kept here alone]
    #[arg(long, env)]
    pub jira_base_url: Option<String>,
    /// Our account there
    #[arg(long, env)]
    pub jira_email: Option<String>,
    /// Its API token
    #[arg(long, env, hide_env_values = true)]
    pub jira_api_token: Option<String>,
    /// The project that tickets are made in
    #[arg(long, env)]
    pub jira_project_key: Option<String>,
    /// Which type of issue they are
    #[arg(long, env, default_value = "Task")]
    pub jira_issue_type: String,
    /// How long its search may not know of an issue that was made
    #[arg(long, env, default_value = "2m")]
    pub jira_index_lag: String,
}

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct TrackerSettings {
    /// Without a slash at the end.
    pub base_url: String,
    pub email: String,
    pub api_token: SecretString,
    pub project_key: String,
    pub issue_type: String,
    pub index_lag: TimeDelta,
}

impl TrackerSettings {
    /// Where people see a ticket.
    #[must_use]
    pub fn browse(&self, key: &str) -> String {
        format!("{}/browse/{key}", self.base_url)
    }
}

impl RawTracker {
    pub(super) fn check(&self, check: &mut Checker) -> Option<TrackerSettings> {
        let (issue_type, index_lag) = (
            check.with("JIRA_ISSUE_TYPE", &self.jira_issue_type, "the name of a type of issue", parse::line),
            check.delta("JIRA_INDEX_LAG", &self.jira_index_lag),
        );
        let given = [
            ("JIRA_BASE_URL", &self.jira_base_url),
            ("JIRA_EMAIL", &self.jira_email),
            ("JIRA_API_TOKEN", &self.jira_api_token),
            ("JIRA_PROJECT_KEY", &self.jira_project_key),
        ]
        .map(|(name, value)| (name, parse::given(value.as_ref()).map(str::trim)));
        let (name_set, _) = given.iter().find(|(_, value)| value.is_some())?;
        for (name, _) in given.iter().filter(|(_, value)| value.is_none()) {
            check.wrong(name, None, &format!("a value, since {name_set} is set: all four of JIRA_* or none"));
        }
        let [(_, base_url), (_, email), (_, token), (_, project)] = given;
        Some(TrackerSettings {
            base_url: base_url.map(|it| check.url("JIRA_BASE_URL", it)).unwrap_or_default(),
            email: email.map(|it| check.secret("JIRA_EMAIL", it, EMAIL, email_address)).unwrap_or_default(),
            api_token: token
                .map(|it| check.secret("JIRA_API_TOKEN", it, parse::BEARER, parse::header_text))
                .unwrap_or_default()
                .into(),
            project_key: project.and_then(|it| check.with("JIRA_PROJECT_KEY", it, PROJECT, key)).unwrap_or_default(),
            issue_type: issue_type.unwrap_or_default(),
            index_lag,
        })
    }
}

/// Basic authentication ends a name at its first colon.
pub(super) fn email_address(text: &str) -> Result<String, String> {
    let text = parse::header_text(text)?;
    if text.contains('@') && !text.contains(':') { Ok(text) } else { Err("no e-mail address".to_owned()) }
}

fn key(text: &str) -> Result<String, String> {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if starts && fits && text.len() <= 255 { Ok(text.to_owned()) } else { Err("no key".to_owned()) }
}
