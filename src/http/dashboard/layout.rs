//! The frame of every page: header, navigation, and the signed-in person.

use std::sync::Arc;

use super::Visit;
use super::assets::ASSETS;
use super::parts::{Look, Mark, Privacy};
use crate::acts::Operator;
use crate::config::{Environment, Mode, Settings};
use crate::domain::StateName;

/// The pages in the header, in their order: label, and path below the prefix.
const NAVIGATION: &[(&str, &str)] = &[
    ("Today", "/"),
    ("Openings", "/openings"),
    ("Tickets", "/tickets"),
    ("Cases", "/cases"),
    ("Dead letters", "/dead-letters"),
    ("Refused", "/refused"),
    ("Unmatched", "/unmatched"),
    ("Reports", "/reports"),
    ("Mismatches", "/mismatches"),
    ("Ledger", "/ledger"),
    ("Providers", "/providers"),
    ("Flags", "/flags"),
    ("Acts", "/acts"),
    ("Help", "/help"),
];

/// The dashboard as its settings make it.
#[derive(Debug)]
pub struct Site {
    pub prefix: String,
    pub origin: String,
    pub mode: Mode,
    pub environment: Environment,
    /// Whether browsers keep the session's cookie.
    pub keeps_cookies: bool,
}

impl Site {
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let dashboard = settings.dashboard.clone();
        Self {
            prefix: dashboard.prefix,
            origin: dashboard.origin,
            mode: dashboard.mode,
            environment: settings.environment,
            keeps_cookies: dashboard.keeps_cookies,
        }
    }

    /// The path of a page, as browsers see it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        // The router knows the first page without the slash behind a prefix.
        if path == "/" && !self.prefix.is_empty() { self.prefix.clone() } else { format!("{}{path}", self.prefix) }
    }
}

/// An entry of the header.
pub struct Entry {
    pub label: &'static str,
    pub href: String,
    pub is_here: bool,
}

#[derive(Clone)]
pub struct Layout {
    pub site: Arc<Site>,
    visit: Option<Visit>,
    /// The path of the navigation's page that this page belongs to.
    here: &'static str,
}

impl Layout {
    pub fn new(site: &Arc<Site>, visit: Option<&Visit>) -> Self {
        Self { site: Arc::clone(site), visit: visit.cloned(), here: "" }
    }

    /// The same for a page that belongs to this one of the navigation.
    #[must_use]
    pub fn at(self, here: &'static str) -> Self {
        Self { here, ..self }
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.site.url(path)
    }

    #[must_use]
    pub fn style(&self) -> String {
        self.url(&ASSETS.style.path)
    }

    #[must_use]
    pub fn script(&self) -> String {
        self.url(&ASSETS.script.path)
    }

    /// The address that live updates ask, what the page shows, and its mark. None: no session.
    #[must_use]
    pub fn live(&self) -> Option<(String, String, String)> {
        let visit = self.visit.as_ref()?;
        Some((self.url("/live"), visit.watch.to_string(), visit.mark.clone()))
    }

    #[must_use]
    pub fn icons(&self) -> String {
        self.url(&ASSETS.icons.path)
    }

    /// A state as icon, words and colour.
    #[must_use]
    pub fn state(&self, state: StateName) -> Mark {
        Mark::of_opening(state, self.icons())
    }

    /// A status as icon, words and colour.
    #[must_use]
    pub fn mark(&self, word: &str, look: Look) -> Mark {
        Mark::new(word, look, self.icons())
    }

    /// Texts from outside as the person may see them. `customer`: the customer's name, where it is known.
    #[must_use]
    pub fn privacy(&self, customer: Option<&str>) -> Privacy {
        Privacy::new(self.is_operator(), customer)
    }

    #[must_use]
    pub fn navigation(&self) -> Vec<Entry> {
        let entry = |(label, path): &(&'static str, &'static str)| Entry {
            label,
            href: self.url(path),
            is_here: *path == self.here,
        };
        if self.visit.is_some() { NAVIGATION.iter().map(entry).collect() } else { Vec::new() }
    }

    /// The token's name and the role of the signed-in person.
    #[must_use]
    pub fn person(&self) -> Option<(String, &'static str)> {
        let principal = &self.visit.as_ref()?.principal;
        Some((principal.name().to_owned(), principal.role().as_str()))
    }

    /// Whether the person sees texts from outside as they came.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.visit.as_ref().is_some_and(|visit| Operator::try_from(visit.principal.clone()).is_ok())
    }

    /// Whether the page offers the acts of operators.
    #[must_use]
    pub fn may_act(&self) -> bool {
        !self.is_read_only() && self.is_operator()
    }

    /// Whether the page offers the acts of admins.
    #[must_use]
    pub fn may_act_as_admin(&self) -> bool {
        self.visit.as_ref().is_some_and(|visit| visit.acting_as_admin().is_ok())
    }

    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.site.mode == Mode::ReadOnly
    }

    #[must_use]
    pub fn is_production(&self) -> bool {
        self.site.environment == Environment::Production
    }
}
