//! The names of the simulated systems and of their calls.

use serde::{Deserialize, Serialize};

/// One of the simulated systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// All banks.
    Bank,
    /// The access tokens of banks.
    Tokens,
    Profiles,
    Cards,
    Tracker,
}

/// One of their calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /v1/profiles`
    CreateProfile,
    /// `POST /v1/account-opening-requests`
    Submit,
    /// `POST /v1/accounts`: the legacy call, which blocks until the bank has decided.
    OpenAccount,
    /// `GET /v1/account-opening-requests/{id}` and `?reference=`
    Lookup,
    /// `GET /v1/account-opening-requests?updated_since=`: about no opening in particular.
    List,
    /// `POST /v1/virtual-cards`
    IssueCard,
    /// `POST /rest/api/3/issue`
    CreateIssue,
    /// `GET` and `POST /rest/api/3/search/jql`
    SearchIssues,
    /// `GET /rest/api/3/issue/{key}`, its comments and its transitions
    ReadIssue,
    /// `POST /rest/api/3/issue/{key}/comment`
    CommentIssue,
    /// `POST /rest/api/3/issue/{key}/transitions`
    MoveIssue,
}

impl Endpoint {
    /// The system that answers it.
    #[must_use]
    pub const fn api(self) -> Api {
        match self {
            Self::CreateProfile => Api::Profiles,
            Self::Submit | Self::OpenAccount | Self::Lookup | Self::List => Api::Bank,
            Self::IssueCard => Api::Cards,
            Self::CreateIssue | Self::SearchIssues | Self::ReadIssue | Self::CommentIssue | Self::MoveIssue => {
                Api::Tracker
            }
        }
    }
}
