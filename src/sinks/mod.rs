//! Sinks: where events go. Each entry of `EVENT_SUBSCRIBERS` is a sink.
//!
//! A sink is known by its name: the name is the lane of its deliveries, the system of its gate, and a part of each delivery's id.
//! So a sink may move to another URL or change its secret, and queued deliveries follow it.

mod cloud_event;
mod http;
mod settings;

use std::sync::Arc;

pub use self::cloud_event::cloud_event;
pub use self::http::HttpSink;
pub use self::settings::{EXPECTED, SinkSettings, parse};
use crate::outbound::{Client, Gates};

/// The configured sinks. All are signed HTTP today; a second way makes a trait of `HttpSink`.
#[derive(Clone, Debug)]
pub struct Sinks(Arc<[HttpSink]>);

impl Sinks {
    #[must_use]
    pub fn new(settings: &[SinkSettings], client: &Client, gates: &Gates) -> Self {
        Self(settings.iter().map(|it| HttpSink::new(it.clone(), client.clone(), gates)).collect())
    }

    /// The sink of this name, if still configured.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&HttpSink> {
        self.0.iter().find(|it| it.name() == name)
    }

    pub fn all(&self) -> impl Iterator<Item = &HttpSink> {
        self.0.iter()
    }
}
