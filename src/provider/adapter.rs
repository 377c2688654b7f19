//! From settings to an adapter: what each adapter brings so that configuration and wiring need not know it.
//!
//! An adapter is configured as a whole or not at all. With none of its settings there is no adapter, and its webhook path is
//! unknown. With some of them, or with a route to it, a missing one is an error: an adapter that is half there would take
//! openings and lose them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::{Limits, Provider};
use crate::domain::bank::Bic;
use crate::outbound::{Client, Gates};
use crate::settings::{Checker, given, list_of};

/// The surroundings of an adapter's settings when they are checked.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Whether a route leads to it.
    pub is_routed: bool,
    /// Whether real customers are served: then a sandbox's host is refused.
    pub is_production: bool,
    /// The limits that hold unless overridden.
    pub defaults: &'a Limits,
}

/// The settings of one adapter, as text.
pub trait RawAdapter {
    /// The provider's name.
    fn name(&self) -> &'static str;

    /// The checked settings. None: the adapter is not configured, or its settings are wrong, which `check` knows.
    fn check(&self, check: &mut Checker, situation: Situation<'_>) -> Option<Arc<dyn Adapter>>;
}

/// The checked settings of one adapter.
pub trait Adapter: Send + Sync + Debug {
    /// The provider's name.
    fn name(&self) -> &'static str;

    /// How much it is asked.
    fn limits(&self) -> &Limits;

    /// Whether it can open an account in this market: there are IBANs, and it knows the BIC.
    fn serves(&self, market: &str) -> bool;

    /// Whether what changed there can be listed.
    fn lists(&self) -> bool {
        false
    }

    /// Warnings that an operator should read at the start.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes the adapter.
    fn build(&self, parts: &Parts<'_>) -> Arc<dyn Provider>;
}

/// The parts that an adapter is made of, beside its settings.
pub struct Parts<'a> {
    /// The service's client.
    pub client: &'a Client,
    /// The gates of all operations.
    pub gates: &'a Gates,
    /// The deadline of a blocking call.
    pub blocking: Duration,
}

/// The expected form of a list of BICs.
const BICS: &str = "a list such as DE=SOBKDEB2XXX,FR=SOBKFRP2XXX: a market once each, with its BIC";

/// The BIC of each market, for banks that leave it to us.
#[derive(Clone, Debug, Default)]
pub struct BicsByMarket(BTreeMap<String, Bic>);

impl BicsByMarket {
    /// Reads `DE=SOBKDEB2XXX,…`; `is_market` says which markets there are.
    pub fn check(check: &mut Checker, name: &'static str, text: &str, is_market: fn(&str) -> bool) -> Self {
        let entry = |text: &str| {
            let (market, bic) = text.split_once('=').ok_or("no =")?;
            let (market, bic) = (market.trim(), Bic::parse(bic).map_err(str::to_owned)?);
            if is_market(market) { Ok((market.to_owned(), bic)) } else { Err("an unknown market".to_owned()) }
        };
        let list = |text: &str| {
            let entries = list_of(text, entry)?;
            let (count, bics) = (entries.len(), BTreeMap::from_iter(entries));
            if bics.len() == count { Ok(Self(bics)) } else { Err("a market is listed twice".to_owned()) }
        };
        check.with(name, text, BICS, list).unwrap_or_default()
    }

    /// The BIC of a market.
    #[must_use]
    pub fn of(&self, market: &str) -> Option<&str> {
        self.0.get(market).map(Bic::as_str)
    }
}

/// Settings of which all are needed or none is there.
pub(crate) struct Needed<'a> {
    /// Name, value and form of each.
    pub settings: &'a [(&'static str, Option<&'a String>, &'static str)],
    /// Whether optional settings of the same adapter are set.
    pub others: bool,
}

impl Needed<'_> {
    /// Whether all are there. A missing setting is an error if any is there, or a route needs them.
    pub fn are_there(&self, check: &mut Checker, is_routed: bool) -> bool {
        let missing: Vec<_> = self.settings.iter().filter(|(_, text, _)| given(*text).is_none()).collect();
        let none = missing.len() == self.settings.len() && !self.others;
        if !none || is_routed {
            for (name, _, form) in &missing {
                check.note(name, "missing".to_owned(), (*form).to_owned());
            }
        }
        missing.is_empty()
    }
}

/// Refuses a sandbox's host in production. Returns the warning about a live host elsewhere.
pub(crate) fn check_host(
    check: &mut Checker,
    situation: Situation<'_>,
    name: &'static str,
    url: &str,
    sandboxes: &[&str],
) -> Option<String> {
    // The parser writes scheme and host in lower case.
    let url = reqwest::Url::parse(url.trim()).ok();
    let host = url.as_ref().and_then(|it| it.host_str()).unwrap_or_default();
    let is_sandbox = sandboxes.iter().any(|it| host.contains(it));
    let is_local = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    if situation.is_production && is_sandbox {
        // The whole address may hold a password.
        check.wrong(name, Some(host), "the live host (a sandbox is refused in production)");
    }
    let is_live = url.as_ref().is_some_and(|it| it.scheme() == "https") && !is_sandbox && !is_local;
    (is_live && !situation.is_production).then(|| format!("{name} is no sandbox, and this is not production"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_has_one_bic() {
        let read = |text: &str| {
            let mut check = Checker::default();
            let bics = BicsByMarket::check(&mut check, "X_BICS", text, |it| it.len() == 2);
            check.finish(bics).ok()
        };
        let bics = read("DE=SOBKDEB2XXX, FR = SOBKFRP2XXX").unwrap();
        assert_eq!((bics.of("DE"), bics.of("FR"), bics.of("IT")), (Some("SOBKDEB2XXX"), Some("SOBKFRP2XXX"), None));
        for wrong in ["", "DE", "DE=", "DE=SOBK", "DEU=SOBKDEB2XXX", "DE=SOBKDEB2XXX,DE=SOBKDEBBXXX", "=SOBKDEB2XXX"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
