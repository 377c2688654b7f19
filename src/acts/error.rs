//! Why an act was not done.

use crate::db::{WorkError, describe};
use crate::domain::StateName;

#[derive(Debug, thiserror::Error)]
pub enum ActError {
    #[error("not found")]
    NotFound,
    /// It is not in the version that the operator saw.
    #[error("the opening has moved to version {version}, {state}")]
    Moved { version: i64, state: StateName },
    #[error("{0}")]
    WrongState(&'static str),
    /// Not possible now.
    #[error("{0}")]
    Unavailable(String),
    #[error("{}", describe(.0))]
    Database(#[from] sqlx::Error),
    /// A mistake of the service.
    #[error("{0}")]
    Internal(String),
}

impl WorkError for ActError {
    fn of_database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}
