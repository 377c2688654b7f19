//! `EVENT_SUBSCRIBERS`: the sinks with their names, URLs and secrets.

use sha2::{Digest, Sha256};

use crate::provider::signature::WebhookSecret;
use crate::settings::{http_url, list_of};

pub const EXPECTED: &str = "[name=]url|whsec_…, comma-separated; each name once";

const MAX_NAME: usize = 40;

#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// As given, or host, port and path of the URL: stable across restarts, without credentials and query. Where several
    /// entries would share it, a hash of the whole URL follows.
    pub name: String,
    pub url: String,
    /// The secret that signs its events.
    pub secret: WebhookSecret,
}

/// Reads the setting. Its errors contain neither secrets nor URLs, only names.
///
/// # Errors
/// If an entry is wrong, or two have the same given name.
pub fn parse(text: &str) -> Result<Vec<SinkSettings>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let entries = list_of(text, entry)?;
    for (index, name) in entries.iter().enumerate().filter_map(|(index, it)| Some((index, it.given.as_ref()?))) {
        if let Some(first) = entries[..index].iter().position(|it| it.given.as_ref() == Some(name)) {
            let (first, second) = (first + 1, index + 1);
            return Err(format!("entries {first} and {second} have the same name {name}"));
        }
    }
    let names: Vec<String> = (0..entries.len()).map(|index| name_of(&entries, index)).collect();
    let sinks = entries.into_iter().zip(names);
    Ok(sinks.map(|(Entry { url, secret, .. }, name)| SinkSettings { name, url, secret }).collect())
}

struct Entry {
    given: Option<String>,
    /// The given name, or host, port and path of the URL.
    short: String,
    url: String,
    secret: WebhookSecret,
}

/// The name of the entry at `index`. Entries without a given name may share host, port and path: the hash of the whole URL
/// tells them apart, so that a name does not depend on the order of the entries. Entries of one URL are counted.
fn name_of(entries: &[Entry], index: usize) -> String {
    let Entry { given, short, url, .. } = &entries[index];
    if given.is_some() || entries.iter().filter(|it| it.short == *short).count() == 1 {
        return short.clone();
    }
    let hash = &hex::encode(Sha256::digest(url))[..8];
    match entries[..index].iter().filter(|it| it.given.is_none() && it.url == *url).count() {
        0 => format!("{short}~{hash}"),
        before => format!("{short}~{hash}-{}", before + 1),
    }
}

fn entry(text: &str) -> Result<Entry, String> {
    let (place, secret) = text.rsplit_once('|').ok_or("an entry is not [name=]url|whsec_…")?;
    let (given, url) = match place.split_once('=') {
        // In an entry without a name, a = is part of the URL's query.
        Some((name, url)) if !name.contains("://") => (Some(name), url),
        _ => (None, place),
    };
    let url = http_url(url)?;
    let given = given.map(checked_name).transpose()?;
    let short = given.clone().map_or_else(|| derived_name(&url), Ok)?;
    Ok(Entry { given, short, url, secret: WebhookSecret::parse(secret)? })
}

fn checked_name(name: &str) -> Result<String, String> {
    let fits = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fits && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= MAX_NAME {
        Ok(name.to_owned())
    } else {
        Err(format!("a name is not 1 to {MAX_NAME} lower-case letters, digits and hyphens, beginning with a letter"))
    }
}

/// Host, port and path of a URL. The query is left out: it may contain a secret.
fn derived_name(url: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(url).map_err(|it| it.to_string())?;
    let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
    Ok(format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path().trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SECRET: &str = "whsec_YSBzZWNyZXQgb2Ygb3VyIG93biE=";

    fn names(places: &[&str]) -> Result<Vec<String>, String> {
        let entries: Vec<String> = places.iter().map(|it| format!("{it}|{SECRET}")).collect();
        parse(&entries.join(", ")).map(|sinks| sinks.into_iter().map(|it| it.name).collect())
    }

    #[test]
    fn a_sink_has_the_name_given_or_host_port_and_path() {
        for (place, name) in [
            ("https://events.example", "events.example"),
            ("https://events.example/", "events.example"),
            ("https://events.example:8443/hooks/openings", "events.example:8443/hooks/openings"),
            ("https://user:hush@events.example/hooks?token=hush#hush", "events.example/hooks"),
            ("https://events.example:443/hooks", "events.example/hooks"),
            ("http://[::1]:9/x", "[::1]:9/x"),
            ("crm=https://events.example/hooks?token=hush", "crm"),
        ] {
            assert_eq!(names(&[place]).as_deref(), Ok([name.to_owned()].as_slice()), "{place}");
        }
        let sinks = parse(&format!("crm=https://events.example/hooks?a=b|{SECRET}")).unwrap();
        assert_eq!(sinks[0].url, "https://events.example/hooks?a=b");
    }

    #[test]
    fn a_name_is_short_and_plain() {
        let (long, longest) = ("n".repeat(MAX_NAME + 1), "n".repeat(MAX_NAME));
        assert!(names(&[&format!("{longest}=https://a.example")]).is_ok());
        for name in ["", " ", "CRM", "1st", "-a", "a b", "a/b", "a:b", "å", &long] {
            let error = names(&[&format!("{name}=https://a.example")]).unwrap_err();
            assert!(error.starts_with("a name is not"), "{name:?}: {error}");
        }
    }

    #[test]
    fn two_sinks_of_one_given_name_are_refused_by_their_places() {
        let (one, two) = ("crm=https://b.example?token=hush", "crm=https://u:hush@a.example");
        let error = names(&[one, "https://c.example", two]).unwrap_err();
        assert_eq!(error, "entries 1 and 3 have the same name crm");
        let url = "https://a.example/x?token=hush";
        assert_eq!(names(&[url, &format!("crm={url}")]).unwrap(), ["a.example/x", "crm"]);
        assert_eq!(names(&["crm=https://b.example", "https://crm"]).unwrap(), ["crm", "crm~f39a2496"]);
    }

    #[test]
    fn sinks_that_share_host_port_and_path_have_names_that_do_not_depend_on_their_order() {
        let urls = [
            "https://a.example/x",
            "http://a.example:443/x",
            "http://a.example/x",
            "https://a.example/x?token=hush",
            "https://u:hush@a.example/x",
            "https://a.example/y",
        ];
        let named = names(&urls).unwrap();
        assert_eq!((named[1].as_str(), named[5].as_str()), ("a.example:443/x", "a.example/y"));
        for name in [0, 2, 3, 4].map(|it| &named[it]) {
            assert!(name.starts_with("a.example/x~") && !name.contains("hush"), "{named:?}");
        }
        assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), urls.len(), "{named:?}");
        let turned: Vec<&str> = urls.iter().rev().copied().collect();
        let turned: Vec<String> = names(&turned).unwrap().into_iter().rev().collect();
        assert_eq!(turned, named);
    }

    #[test]
    fn sinks_of_one_url_are_counted() {
        let url = "https://a.example/x";
        let named = names(&[url, url, "crm=https://b.example", url]).unwrap();
        assert_eq!(named[1..], [format!("{}-2", named[0]), "crm".to_owned(), format!("{}-3", named[0])]);
    }
}
