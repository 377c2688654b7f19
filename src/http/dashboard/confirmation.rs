//! The page of an act above one click: what it will do, its form, and what to type where it cannot be undone.
//!
//! A page of its own at the act's address: GET shows it, POST acts. An error in a field stands beside it, since a form's
//! fields have the names of REST's body.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::Layout;
use super::error::html;
use super::form::Fields;
use super::parts::timed;
use crate::acts::ActError;
use crate::http::problem::{ApiError, FieldError, Kind};

#[derive(Template)]
#[template(path = "parts/confirmation.html")]
pub struct Confirmation {
    pub layout: Layout,
    /// The act's name among those of `data-act`.
    pub act: &'static str,
    pub title: String,
    /// The address of the form and, without the prefix, of the page that it belongs to.
    pub action: String,
    pub back: String,
    pub rehearsal: Vec<Rehearsal>,
    pub inputs: Vec<Input>,
    /// Fields that are not shown: name and value.
    pub hidden: Vec<(&'static str, String)>,
    /// The confirmation that must be typed. None: nothing.
    pub confirm: Option<Input>,
    pub button: &'static str,
    pub token: Uuid,
}

/// The act beforehand: what it will do, or why it cannot be done.
pub struct Rehearsal {
    /// Of which choice. Empty: there is no choice.
    pub of: &'static str,
    pub lines: Vec<String>,
    /// Why it cannot be done. None: it can.
    pub refused: Option<String>,
}

impl Rehearsal {
    /// Of a rehearsed act, or why it cannot be done.
    ///
    /// # Errors
    /// Those of the act that are no refusal, such as a database that is away.
    pub fn of<T>(
        of: &'static str,
        rehearsed: Result<T, ActError>,
        lines: impl FnOnce(T) -> Vec<String>,
    ) -> Result<Self, ApiError> {
        match rehearsed {
            Ok(done) => Ok(Self { of, lines: lines(done), refused: None }),
            Err(ActError::WrongState(why)) => Ok(Self { of, lines: Vec::new(), refused: Some(why.to_owned()) }),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    Line,
    Lines,
    /// A file, the last field of its form.
    File,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The value that the rehearsal is about: it is shown and sent, and not changed.
    Fixed,
}

/// A field of the form.
pub struct Input {
    pub name: &'static str,
    pub label: &'static str,
    pub control: Control,
    pub is_required: bool,
    pub help: &'static str,
    pub value: String,
    pub error: Option<String>,
}

impl Input {
    #[must_use]
    pub fn new(name: &'static str, label: &'static str, control: Control) -> Self {
        Self { name, label, control, is_required: true, help: "", value: String::new(), error: None }
    }

    /// The reason that every act above one click needs.
    #[must_use]
    pub fn reason() -> Self {
        Self::new("reason", "Reason", Control::Line).help("For the record; up to 500 characters.")
    }

    #[must_use]
    pub fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    #[must_use]
    pub fn optional(self) -> Self {
        Self { is_required: false, ..self }
    }

    #[must_use]
    pub fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }

    /// Shows what was typed, and what is wrong with it.
    pub fn filled(&mut self, fields: &Fields, errors: &[FieldError]) {
        self.value = fields.typed(self.name);
        let own = errors.iter().find(|it| it.pointer.strip_prefix('/') == Some(self.name));
        self.error = own.map(|it| it.detail.clone());
    }
}

impl Confirmation {
    fn has_file(&self) -> bool {
        self.inputs.iter().any(|it| it.control == Control::File)
    }

    /// The page before the act.
    ///
    /// # Errors
    /// 500 when its template fails.
    pub fn answer(&self) -> Result<Response, ApiError> {
        Ok(html(self)?.into_response())
    }

    /// The page again, with what was typed and what is wrong with it. An error that is none of a field stays an error.
    ///
    /// # Errors
    /// The refusal itself, if it is not about fields.
    pub fn again(mut self, fields: &Fields, refusal: ApiError) -> Result<Response, ApiError> {
        let names = self.inputs.iter().chain(&self.confirm).map(|it| it.name);
        let names: Vec<&str> = names.collect();
        let is_shown = |error: &FieldError| error.pointer.strip_prefix('/').is_some_and(|it| names.contains(&it));
        if refusal.kind() != Kind::ValidationFailed || !refusal.errors().iter().all(is_shown) {
            return Err(refusal);
        }
        for input in self.inputs.iter_mut().chain(&mut self.confirm) {
            input.filled(fields, refusal.errors());
        }
        Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&self)?).into_response())
    }
}

/// Whether the right thing was typed.
///
/// # Errors
/// 422 at the field `confirm`.
pub fn confirmed(typed: &str, wanted: &str, what: &'static str) -> Result<(), ApiError> {
    if typed.trim().eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(ApiError::field("/confirm", what)) }
}
