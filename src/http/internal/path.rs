//! Ids and names in a path. An invalid id, and a name that is no text, are answered 404, like unknown ones.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::http::problem::{ApiError, Kind};

#[derive(Clone, Copy, Debug)]
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Names(text) = Names::<String>::from_request_parts(parts, state).await?;
        uuid(&text).map(Self).ok_or(ApiError::new(Kind::NotFound))
    }
}

/// The ids of a thing and of one within it.
#[derive(Clone, Copy, Debug)]
pub struct Ids(pub Uuid, pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Names((of, within)) = Names::<(String, String)>::from_request_parts(parts, state).await?;
        let ids = uuid(&of).zip(uuid(&within)).ok_or(ApiError::new(Kind::NotFound))?;
        Ok(Self(ids.0, ids.1))
    }
}

/// Names: a `String`, or a tuple of them.
#[derive(Clone, Debug)]
pub struct Names<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|_| ApiError::new(Kind::NotFound))
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
