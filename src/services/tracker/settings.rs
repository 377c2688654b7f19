//! Settings of the ticket tracker: all four, or none and tickets exist only in the built-in table.

use chrono::TimeDelta;
use clap::Args;
use secrecy::SecretString;

use crate::settings::{self, BEARER, Checker, given, header_text};

pub(crate) const EMAIL: &str = "the e-mail address of an account at the ticket tracker";
const PROJECT: &str = "a project key: a letter, then letters, digits and underscores";

#[derive(Args, Clone)]
pub struct RawTracker {
    /// Base URL of the ticket tracker, a Jira Cloud site [default: none, tickets exist only in the service]
    #[arg(long, env)]
    pub jira_base_url: Option<String>,
    /// Account at the ticket tracker
    #[arg(long, env)]
    pub jira_email: Option<String>,
    /// API token of that account
    #[arg(long, env, hide_env_values = true)]
    pub jira_api_token: Option<String>,
    /// Key of the project that tickets are created in
    #[arg(long, env)]
    pub jira_project_key: Option<String>,
    /// Issue type of tickets
    #[arg(long, env, default_value = "Task")]
    pub jira_issue_type: String,
    /// How long the tracker's search may miss a new issue
    #[arg(long, env, default_value = "2m")]
    pub jira_index_lag: String,
}

#[derive(Clone, Debug)]
pub struct TrackerSettings {
    /// Without a trailing slash.
    pub base_url: String,
    pub email: String,
    pub api_token: SecretString,
    pub project_key: String,
    pub issue_type: String,
    pub index_lag: TimeDelta,
}

impl TrackerSettings {
    /// The page of an issue for people.
    #[must_use]
    pub fn browse(&self, key: &str) -> String {
        format!("{}/browse/{key}", self.base_url)
    }
}

impl RawTracker {
    pub(crate) fn check(&self, check: &mut Checker) -> Option<TrackerSettings> {
        let (issue_type, index_lag) = (
            check.with("JIRA_ISSUE_TYPE", &self.jira_issue_type, "the name of an issue type", settings::line),
            check.delta("JIRA_INDEX_LAG", &self.jira_index_lag),
        );
        let given = [
            ("JIRA_BASE_URL", &self.jira_base_url),
            ("JIRA_EMAIL", &self.jira_email),
            ("JIRA_API_TOKEN", &self.jira_api_token),
            ("JIRA_PROJECT_KEY", &self.jira_project_key),
        ]
        .map(|(name, value)| (name, given(value.as_ref()).map(str::trim)));
        let (name_set, _) = given.iter().find(|(_, value)| value.is_some())?;
        for (name, _) in given.iter().filter(|(_, value)| value.is_none()) {
            check.wrong(name, None, &format!("a value, because {name_set} is set: set all four of JIRA_*, or none"));
        }
        let [(_, base_url), (_, email), (_, token), (_, project)] = given;
        Some(TrackerSettings {
            base_url: base_url.map(|it| check.url("JIRA_BASE_URL", it)).unwrap_or_default(),
            email: email.map(|it| check.secret("JIRA_EMAIL", it, EMAIL, email_address)).unwrap_or_default(),
            api_token: token
                .map(|it| check.secret("JIRA_API_TOKEN", it, BEARER, header_text))
                .unwrap_or_default()
                .into(),
            project_key: project.and_then(|it| check.with("JIRA_PROJECT_KEY", it, PROJECT, key)).unwrap_or_default(),
            issue_type: issue_type.unwrap_or_default(),
            index_lag,
        })
    }

    /// Production accepts no public token.
    pub(crate) fn check_production(&self, check: &mut Checker) {
        if self.jira_api_token.as_ref().is_some_and(|it| it.contains(world::DEVELOPMENT_JIRA_API_TOKEN)) {
            check.wrong("JIRA_API_TOKEN", None, "a value of your own (the simulator's default is public)");
        }
    }
}

/// Basic authentication ends the user name at the first colon, so it must not contain one.
pub(crate) fn email_address(text: &str) -> Result<String, String> {
    let text = header_text(text)?;
    if text.contains('@') && !text.contains(':') { Ok(text) } else { Err("not an e-mail address".to_owned()) }
}

fn key(text: &str) -> Result<String, String> {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if starts && fits && text.len() <= 255 { Ok(text.to_owned()) } else { Err("not a project key".to_owned()) }
}
