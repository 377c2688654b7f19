//! Our side of a register's row, as evidence keeps it.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::classify;
use crate::clock::Time;
use crate::domain::StateName;
use crate::reconciliation::classify::Classified;
use crate::report_files::row::RegisterRow;

/// An opening as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurOpening {
    pub id: Uuid,
    pub state: StateName,
    pub provider_reference: Option<String>,
    pub market: String,
    pub currency: String,
    pub iban: Option<String>,
    pub bic: Option<String>,
    /// When it was decided, where that was looked up.
    pub ended_at: Option<Time>,
    /// Its account was erased, and cannot be compared.
    pub erased: bool,
}

/// Our side of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// The opening with the row's tracking id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_tracking_id: Option<OurOpening>,
    /// The opening that the row's reference names, where it is another one or the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_reference: Option<OurOpening>,
    /// A register of a later time, or another row of the same file, has a final answer for the tracking id.
    #[serde(default, skip_serializing_if = "is_not")]
    pub said_later: bool,
    /// A register of a later time has a row about the tracking id: that one counts, in any order of arrival.
    #[serde(default, skip_serializing_if = "is_not")]
    pub newer: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_not(it: &bool) -> bool {
    !*it
}

impl Ours {
    /// The opening that the row is about.
    #[must_use]
    pub fn opening(&self) -> Option<&OurOpening> {
        self.by_tracking_id.as_ref().or(self.by_reference.as_ref())
    }
}

/// The times that a comparison depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When the provider looked at its books.
    pub as_of: Time,
    /// When the file was received.
    pub received_at: Time,
    /// `RECON_WINDOW`.
    pub window: TimeDeltaSeconds,
}

impl Times {
    #[must_use]
    pub const fn new(as_of: Time, received_at: Time, window: TimeDelta) -> Self {
        Self { as_of, received_at, window: TimeDeltaSeconds(window.num_seconds()) }
    }
}

/// The values that a row was classified by, to classify it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    #[serde(flatten)]
    pub ours: Ours,
    /// `RECON_WINDOW` then.
    pub window: TimeDeltaSeconds,
}

impl Basis {
    /// Classifies the row again, in a file of these times.
    #[must_use]
    pub fn classify(&self, row: &RegisterRow, as_of: Time, received_at: Time) -> Classified {
        classify(row, &self.ours, Times { as_of, received_at, window: self.window })
    }
}

/// A span in seconds, as evidence keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeDeltaSeconds(pub i64);

impl TimeDeltaSeconds {
    pub(super) fn delta(self) -> TimeDelta {
        TimeDelta::try_seconds(self.0).unwrap_or(TimeDelta::MAX)
    }
}
