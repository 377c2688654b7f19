//! Bodies of requests: `body!` declares the fields once, and makes of them the struct, its schema in the API description, its
//! reader, and the refusal of unknown fields. The reader collects every error before it refuses.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::problem::{ApiError, FieldError, Kind};

/// The requirement for a value. Never contains the value.
pub type Takes = String;

/// The form of a value: its schema, and the check that belongs to it.
pub trait Form: ToSchema {
    type Value;

    /// # Errors
    /// The requirement.
    fn check(value: &Value) -> Result<Self::Value, Takes>;
}

/// A field as a body declares it. A [`Form`] is required; an `Option` of one may be null or absent; a body may be a field of
/// another.
pub trait Field {
    type Value;

    /// The value at this JSON pointer. None: errors were added.
    fn read(value: Option<&Value>, at: &str, errors: &mut Errors) -> Option<Self::Value>;
}

impl<F: Form> Field for F {
    type Value = F::Value;

    fn read(value: Option<&Value>, at: &str, errors: &mut Errors) -> Option<F::Value> {
        let value = errors.required(value, at)?;
        errors.taken(F::check(value), at)
    }
}

impl<F: Form> Field for Option<F> {
    type Value = Option<F::Value>;

    fn read(value: Option<&Value>, at: &str, errors: &mut Errors) -> Option<Self::Value> {
        match value {
            None | Some(Value::Null) => Some(None),
            Some(value) => errors.taken(F::check(value), at).map(Some),
        }
    }
}

/// Declares a body.
macro_rules! body {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $form:ident $(<$of:ident>)?),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, PartialEq, utoipa::ToSchema)]
        pub struct $name {
            $(
                $(#[$about])*
                #[schema(value_type = $form $(<$of>)?)]
                pub $field: <$form $(<$of>)? as $crate::http::internal::fields::Field>::Value,
            )+
        }

        impl $crate::http::internal::fields::Field for $name {
            type Value = Self;

            fn read(
                value: Option<&serde_json::Value>,
                at: &str,
                errors: &mut $crate::http::internal::fields::Errors,
            ) -> Option<Self> {
                use $crate::http::internal::fields::Field;
                let object = errors.object(value, at, &[$(stringify!($field)),+])?;
                $(
                    let name = stringify!($field);
                    let $field = <$form $(<$of>)? as Field>::read(object.get(name), &format!("{at}/{name}"), errors);
                )+
                Some(Self { $($field: $field?),+ })
            }
        }
    };
}
pub(in crate::http) use body;

/// The errors found so far. Unknown fields come first: they may be misspelt names of the others.
#[derive(Debug, Default)]
pub struct Errors {
    unknown: Vec<FieldError>,
    wrong: Vec<FieldError>,
}

impl Errors {
    pub fn add(&mut self, at: &str, takes: impl Into<String>) {
        self.wrong.push(FieldError { pointer: at.to_owned(), detail: takes.into() });
    }

    fn taken<T>(&mut self, checked: Result<T, Takes>, at: &str) -> Option<T> {
        checked.map_err(|takes| self.add(at, takes)).ok()
    }

    /// A value that is neither absent nor null.
    fn required<'a>(&mut self, value: Option<&'a Value>, at: &str) -> Option<&'a Value> {
        let value = value.filter(|it| !it.is_null());
        if value.is_none() {
            self.add(at, "is required");
        }
        value
    }

    /// An object without unknown fields.
    pub fn object<'a>(&mut self, value: Option<&'a Value>, at: &str, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let object = self.required(value, at)?.as_object();
        let Some(object) = object else {
            self.add(at, "must be an object");
            return None;
        };
        let unknown = object.keys().filter(|name| !known.contains(&name.as_str()));
        self.unknown
            .extend(unknown.map(|name| FieldError { pointer: pointer(at, name), detail: "is unknown".to_owned() }));
        Some(object)
    }
}

/// RFC 6901: `~` and `/` in a name are escaped.
fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Reads a body completely.
///
/// # Errors
/// 400 `unknown-field`, else 422 `validation-failed`, each with all affected fields.
pub fn read<B: Field>(body: &Value) -> Result<B::Value, ApiError> {
    let mut errors = Errors::default();
    let value = B::read(Some(body), "", &mut errors);
    let Errors { unknown, wrong } = errors;
    match value {
        _ if !unknown.is_empty() => Err(ApiError::fields(Kind::UnknownField, unknown)),
        Some(value) if wrong.is_empty() => Ok(value),
        _ => Err(ApiError::fields(Kind::ValidationFailed, wrong)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::acts::reason::ReasonText;

    body!(
        /// A body.
        Outer {
            /// A required field.
            reason: ReasonText,
            /// An optional field.
            why: Option<ReasonText>,
            /// A body in a body.
            inner: Inner,
        }
    );
    body!(
        /// A body in a body.
        Inner {
            /// A required field.
            reason: ReasonText,
        }
    );

    fn refused(body: &Value) -> (Kind, Vec<(String, String)>) {
        let error = read::<Outer>(body).unwrap_err();
        (error.kind(), error.errors().iter().map(|it| (it.pointer.clone(), it.detail.clone())).collect())
    }

    fn pointed(errors: &[(&str, &str)]) -> Vec<(String, String)> {
        errors.iter().map(|(at, detail)| ((*at).to_owned(), (*detail).to_owned())).collect()
    }

    #[test]
    fn every_error_is_pointed_at_and_unknown_fields_are_told_first() {
        let inner = Inner { reason: "b".to_owned() };
        let whole = Outer { reason: "a".to_owned(), why: None, inner };
        assert_eq!(read::<Outer>(&json!({"reason": "a", "why": null, "inner": {"reason": "b"}})).unwrap(), whole);
        let wrong = [("/reason", "is required"), ("/why", "must be a string"), ("/inner", "must be an object")];
        assert_eq!(refused(&json!({"why": 1, "inner": []})), (Kind::ValidationFailed, pointed(&wrong)));
        let (reason, inner) = (("/reason", "is required"), ("/inner/reason", "is required"));
        assert_eq!(refused(&json!({"inner": {}})), (Kind::ValidationFailed, pointed(&[reason, inner])));
        let unknown = [("/a~1b~0c", "is unknown"), ("/inner/x", "is unknown")];
        assert_eq!(refused(&json!({"a/b~c": 1, "inner": {"x": 1}})), (Kind::UnknownField, pointed(&unknown)));
    }
}
