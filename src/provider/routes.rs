//! Routes: which provider opens what, by market and customer type.
//!
//! A route decides about a new opening alone: the provider stands in the opening, so a changed route moves none that runs.

use std::collections::BTreeSet;

use crate::domain::CustomerType;
use crate::domain::flag::Scope;

/// The rules; the narrowest that matches counts.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<(Scope, &'static str)>);

impl Routes {
    /// Reads the rules; `names` are the providers that there are.
    ///
    /// # Errors
    /// If a rule is wrong, or two have one scope.
    pub fn parse(text: &str, names: &[&'static str]) -> Result<Self, String> {
        let rules = crate::settings::list_of(text, |rule| parse_rule(rule, names))?;
        let scopes: BTreeSet<_> = rules.iter().map(|(scope, _)| key(scope)).collect();
        if scopes.len() == rules.len() {
            Ok(Self(rules))
        } else {
            Err("two rules with the same market and customer type".to_owned())
        }
    }

    /// The provider of an opening. None: no rule matches.
    #[must_use]
    pub fn of(&self, market: &str, customer_type: CustomerType) -> Option<&'static str> {
        let matching =
            self.0.iter().filter_map(|(scope, name)| Some((scope.narrowness(market, customer_type)?, *name)));
        matching.max_by_key(|(narrowness, _)| *narrowness).map(|(_, name)| name)
    }

    /// Whether a rule leads to this provider.
    #[must_use]
    pub fn lead_to(&self, name: &str) -> bool {
        self.0.iter().any(|(_, it)| *it == name)
    }

    /// The markets that a rule names, each with its provider.
    pub fn markets(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.0.iter().filter_map(|(scope, name)| Some((scope.market.as_deref()?, *name)))
    }
}

fn key(scope: &Scope) -> (Option<&str>, Option<&'static str>) {
    (scope.market.as_deref(), scope.customer_type.map(CustomerType::as_str))
}

/// `DE=name`, `DE:company=name`, `*:company=name` or `*=name`.
fn parse_rule(rule: &str, names: &[&'static str]) -> Result<(Scope, &'static str), String> {
    let (scope, name) = rule.split_once('=').ok_or("no =")?;
    let (market, customer_type) = match scope.split_once(':') {
        Some((market, customer_type)) => (market.trim(), Some(customer_type.trim())),
        None => (scope.trim(), None),
    };
    if market != "*" && !is_market(market) {
        return Err("an unknown market".to_owned());
    }
    let customer_type = customer_type.map(str::parse).transpose().map_err(|_| "an unknown customer type")?;
    let market = Some(market.to_owned()).filter(|it| it != "*");
    let name = names.iter().find(|it| **it == name.trim()).ok_or("an unknown provider")?;
    Ok((Scope { market, customer_type }, name))
}

/// A market as callers may name it: ISO 3166 alpha-2.
fn is_market(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) && celes::Country::from_alpha2(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["one", "two", "three", "four"];

    #[test]
    fn the_narrowest_rule_counts_in_any_order() {
        for text in
            ["*=one,NL=two,*:freelancer=three,NL:company=four", "NL:company=four, *:freelancer = three ,NL= two,* =one"]
        {
            let routes = Routes::parse(text, NAMES).unwrap();
            let of = |market, customer_type| routes.of(market, customer_type).unwrap();
            assert_eq!(of("NL", CustomerType::Company), "four");
            assert_eq!(of("NL", CustomerType::Freelancer), "two", "the market counts for more than the type");
            assert_eq!(of("DE", CustomerType::Freelancer), "three");
            assert_eq!(of("DE", CustomerType::Individual), "one");
        }
        let routes = Routes::parse("NL=two", NAMES).unwrap();
        assert_eq!(routes.of("DE", CustomerType::Company), None);
        assert!(routes.lead_to("two") && !routes.lead_to("one"));
    }

    #[test]
    fn a_rule_that_is_none_is_refused_and_so_are_two_for_the_same() {
        for wrong in [
            "",
            "one",
            "=one",
            "*",
            "*=",
            "*=five",
            "nl=one",
            "XX=one",
            "NL:=one",
            "NL:bank=one",
            "NL:company:x=one",
            "NL:*=one",
            "*=one,*=two",
            "NL=one,NL=one",
            "NL:company=one,NL:company=two",
            "*=one,",
            "*=One",
        ] {
            assert!(Routes::parse(wrong, NAMES).is_err(), "{wrong}");
        }
    }
}
