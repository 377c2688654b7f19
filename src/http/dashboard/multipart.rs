//! A form with a file. The file is its last field and streams; all before it is small.
//!
//! The parser keeps what it cannot use yet, so the bytes outside the file are counted, and a form that has too many of them ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures::Stream;
use multer::{Constraints, Field, Multipart, SizeLimit, parse_boundary};
use tokio::time::timeout;

use super::MAX_FORM;
use crate::http::body;
use crate::http::problem::{ApiError, Kind};

/// The name of the file's field.
pub const FILE: &str = "file";
/// The most fields before the file.
const MAX_FIELDS: usize = 20;
/// The most bytes outside the file. A single piece of the body may be that large, and holds the beginning of the file too.
const MAX_OUTSIDE: usize = 1024 * 1024;
/// So much of a form that has more is still read and thrown away: a sender that is busy would see no answer.
const MAX_DROPPED: usize = 64 * 1024 * 1024;
/// A sender that sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

pub struct FileForm {
    /// The fields before the file.
    pub pairs: Vec<(String, String)>,
    /// None: the form has no file, or an empty one without a name.
    pub file: Option<Field<'static>>,
    multipart: Multipart<'static>,
    is_in_file: Arc<AtomicBool>,
}

impl FileForm {
    /// Reads the form up to its file.
    ///
    /// # Errors
    /// 415 if it is no such form, 413 if a field is too large, 422 if it cannot be read.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let boundary = parse_boundary(content_type).map_err(|_| ApiError::new(Kind::UnsupportedMediaType))?;
        let is_in_file = Arc::new(AtomicBool::new(false));
        let metered = Metered::new(body.into_data_stream(), Arc::clone(&is_in_file));
        let limit = SizeLimit::new().per_field(MAX_FORM as u64).for_field(FILE, u64::MAX);
        let multipart = Multipart::with_constraints(metered, boundary, Constraints::new().size_limit(limit));
        let mut form = Self { pairs: Vec::new(), file: None, multipart, is_in_file };
        while let Some(field) = form.next().await? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == FILE {
                form.is_in_file.store(true, Ordering::Relaxed);
                form.file = Some(field);
                break;
            }
            if form.pairs.len() == MAX_FIELDS {
                return Err(ApiError::new(Kind::PayloadTooLarge));
            }
            let text = within(field.text()).await?;
            form.pairs.push((name, text));
        }
        Ok(form)
    }

    async fn next(&mut self) -> Result<Option<Field<'static>>, ApiError> {
        within(self.multipart.next_field()).await
    }

    /// Reads the end of the form, behind its file.
    ///
    /// # Errors
    /// 422 if a field follows: what it says came too late.
    pub async fn end(mut self) -> Result<(), ApiError> {
        self.is_in_file.store(false, Ordering::Relaxed);
        match self.next().await? {
            None => Ok(()),
            Some(_) => Err(ApiError::because(Kind::ValidationFailed, "the file must be the last field of the form")),
        }
    }
}

async fn within<T>(read: impl Future<Output = multer::Result<T>>) -> Result<T, ApiError> {
    match timeout(SILENCE, read).await {
        Ok(read) => read.map_err(|error| unreadable(&error)),
        Err(_) => Err(ApiError::new(Kind::RequestTimeout)),
    }
}

fn unreadable(error: &multer::Error) -> ApiError {
    match error {
        error if body::is_too_slow(error) => ApiError::new(Kind::RequestTimeout),
        multer::Error::FieldSizeExceeded { .. } => ApiError::new(Kind::PayloadTooLarge),
        _ => ApiError::because(Kind::ValidationFailed, "the form cannot be read"),
    }
}

/// A body that yields a piece at a time, and ends when too much of it stands outside the file.
struct Metered {
    body: BodyDataStream,
    is_in_file: Arc<AtomicBool>,
    outside: usize,
    has_yielded: bool,
}

impl Metered {
    const fn new(body: BodyDataStream, is_in_file: Arc<AtomicBool>) -> Self {
        Self { body, is_in_file, outside: 0, has_yielded: false }
    }
}

/// The form has more outside its file than any page sends.
#[derive(Debug, thiserror::Error)]
#[error("too much outside the file")]
struct TooMuch;

impl Stream for Metered {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The parser takes all that is ready: after each piece it gets a turn to pass it on.
        if std::mem::take(&mut self.has_yielded) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = match Pin::new(&mut self.body).poll_next(context) {
            Poll::Ready(Some(Ok(piece))) => piece,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) if self.outside > MAX_OUTSIDE => return Poll::Ready(Some(Err(TooMuch.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        self.has_yielded = true;
        if !self.is_in_file.load(Ordering::Relaxed) {
            self.outside += piece.len();
        }
        if self.outside <= MAX_OUTSIDE {
            return Poll::Ready(Some(Ok(piece)));
        }
        if self.outside > MAX_DROPPED {
            return Poll::Ready(Some(Err(TooMuch.into())));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
