//! How much and how often a provider is asked: its polls, its deadline, its calls at once.
//!
//! Banks differ in how long they take and in how many calls they bear, so each may override what holds for all, under its own
//! prefix (`<NAME>_POLL_SCHEDULE`).

use chrono::TimeDelta;

use crate::domain::Policy;
use crate::settings::{Checker, given};

/// The limits of one provider.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The poll schedule and the deadline.
    pub policy: Policy,
    /// The maximum of polls a minute, for each process.
    pub polls_a_minute: u32,
    /// The maximum of calls at once in all operations. None: only each operation is bounded.
    pub calls_at_once: Option<usize>,
    /// Maximum difference between a webhook's signed time and the service's clock.
    pub tolerance: TimeDelta,
}

impl Default for Limits {
    fn default() -> Self {
        let tolerance = TimeDelta::minutes(5);
        Self { policy: Policy::default(), polls_a_minute: 60_000, calls_at_once: None, tolerance }
    }
}

/// The overrides of one provider, as text, with the names of their variables.
pub struct RawLimits<'a> {
    /// Name and value of each, in the order of [`raw_limits`].
    pub settings: [(&'static str, Option<&'a String>); 5],
}

impl RawLimits<'_> {
    /// Whether any is set.
    #[must_use]
    pub fn are_given(&self) -> bool {
        self.settings.iter().any(|(_, text)| given(*text).is_some())
    }

    /// The defaults, as far as they are not overridden.
    pub fn check(&self, check: &mut Checker, defaults: &Limits) -> Limits {
        let mut limits = defaults.clone();
        let [schedule, escalate, budget, at_once, tolerance] = self.settings.map(|(name, text)| (name, given(text)));
        if let (name, Some(text)) = schedule {
            limits.policy.poll_schedule = check.schedule(name, text);
        }
        if let (name, Some(text)) = escalate {
            limits.policy.escalate_after = check.delta(name, text);
        }
        if let (name, Some(text)) = budget {
            limits.polls_a_minute = check.number(name, text, 1, 100_000_000);
        }
        if let (name, Some(text)) = at_once {
            limits.calls_at_once = Some(check.number(name, text, 1, 10_000));
        }
        if let (name, Some(text)) = tolerance {
            limits.tolerance = check.delta(name, text);
        }
        limits
    }
}

/// Declares the overrides of one provider as options and variables with its prefix.
macro_rules! raw_limits {
    ($name:ident, $long:literal, $env:literal) => {
        /// Overrides of what holds for all providers.
        #[derive(clap::Args, Clone, Default)]
        #[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
        pub struct $name {
            /// Overrides POLL_SCHEDULE for this provider
            #[arg(
                                id = concat!($env, "_POLL_SCHEDULE"), long = concat!($long, "-poll-schedule"),
                                env = concat!($env, "_POLL_SCHEDULE")
                            )]
            pub poll_schedule: Option<String>,
            /// Overrides ESCALATE_AFTER for this provider
            #[arg(
                                id = concat!($env, "_ESCALATE_AFTER"), long = concat!($long, "-escalate-after"),
                                env = concat!($env, "_ESCALATE_AFTER")
                            )]
            pub escalate_after: Option<String>,
            /// Overrides POLL_BUDGET for this provider
            #[arg(
                                id = concat!($env, "_POLL_BUDGET"), long = concat!($long, "-poll-budget"),
                                env = concat!($env, "_POLL_BUDGET")
                            )]
            pub poll_budget: Option<String>,
            /// Maximum concurrent calls to this provider in all, beside PROVIDER_CONCURRENCY for each operation
            #[arg(
                                id = concat!($env, "_CONCURRENCY"), long = concat!($long, "-concurrency"),
                                env = concat!($env, "_CONCURRENCY")
                            )]
            pub concurrency: Option<String>,
            /// Overrides WEBHOOK_TOLERANCE for this provider, as far as it signs a time
            #[arg(
                                id = concat!($env, "_WEBHOOK_TOLERANCE"), long = concat!($long, "-webhook-tolerance"),
                                env = concat!($env, "_WEBHOOK_TOLERANCE")
                            )]
            pub webhook_tolerance: Option<String>,
        }

        impl $name {
            pub(crate) fn raw(&self) -> $crate::provider::limits::RawLimits<'_> {
                $crate::provider::limits::RawLimits {
                    settings: [
                        (concat!($env, "_POLL_SCHEDULE"), self.poll_schedule.as_ref()),
                        (concat!($env, "_ESCALATE_AFTER"), self.escalate_after.as_ref()),
                        (concat!($env, "_POLL_BUDGET"), self.poll_budget.as_ref()),
                        (concat!($env, "_CONCURRENCY"), self.concurrency.as_ref()),
                        (concat!($env, "_WEBHOOK_TOLERANCE"), self.webhook_tolerance.as_ref()),
                    ],
                }
            }
        }
    };
}
pub(crate) use raw_limits;
