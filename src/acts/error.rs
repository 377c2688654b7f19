//! Why an act was not done.

use crate::db::operator_actions::ONE_ACT_PER_FORM;
use crate::db::{WorkError, describe};
use crate::domain::StateName;

#[derive(Debug, thiserror::Error)]
pub enum ActError {
    #[error("not found")]
    NotFound,
    /// The opening is not in the version that the operator saw.
    #[error("the opening has moved to version {version}, {state}")]
    Moved { version: i64, state: StateName },
    #[error("{0}")]
    WrongState(&'static str),
    /// A field of the request cannot be taken.
    #[error("{pointer}: {takes}")]
    Field { pointer: &'static str, takes: String },
    /// Not possible now.
    #[error("{0}")]
    Unavailable(String),
    /// The dashboard's form was sent before, and its act was done then.
    #[error("the form was sent before: its act is done")]
    Repeated,
    #[error("{}", describe(.0))]
    Database(sqlx::Error),
    /// A mistake of the service.
    #[error("{0}")]
    Internal(String),
}

impl ActError {
    /// Whether the act was refused, in contrast to one that met an error.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unavailable(_) | Self::Database(_) | Self::Internal(_))
    }

    /// A field by its JSON pointer, and what it takes.
    pub fn field(pointer: &'static str, takes: impl Into<String>) -> Self {
        Self::Field { pointer, takes: takes.into() }
    }
}

impl From<sqlx::Error> for ActError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|it| it.constraint()) {
            Some(ONE_ACT_PER_FORM) => Self::Repeated,
            _ => Self::Database(error),
        }
    }
}

impl WorkError for ActError {
    fn of_database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}
