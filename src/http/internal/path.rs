//! The id in a path. An invalid id is answered 404, like an unknown one.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use uuid::Uuid;

use crate::http::problem::{ApiError, Kind};

#[derive(Clone, Copy, Debug)]
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        text.and_then(|Path(text)| uuid(&text)).map(Self).ok_or(ApiError::new(Kind::NotFound))
    }
}

/// An id in the form that the service writes; other forms of a UUID would be second names of the same object.
#[must_use]
pub fn uuid(text: &str) -> Option<Uuid> {
    Some(text).filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_that_is_given_out_is_an_id() {
        assert!(uuid("01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e").is_some());
        for wrong in ["", "1", "01993a4e7c5b7d0a8c4f3f2b1a0c9d8e", "{01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e}", "🦀"] {
            assert!(uuid(wrong).is_none(), "{wrong}");
        }
    }
}
