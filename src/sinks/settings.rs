//! `EVENT_SUBSCRIBERS`: the sinks with their names, URLs and secrets.

use crate::provider::signature::WebhookSecret;
use crate::settings::{http_url, list_of};

pub const EXPECTED: &str = "[name=]url|whsec_…, comma-separated; each name once";

const MAX_NAME: usize = 40;

#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// As given, or host, port and path of the URL: stable across restarts, without credentials and query.
    pub name: String,
    pub url: String,
    /// The secret that signs its events.
    pub secret: WebhookSecret,
}

/// Reads the setting. Its errors contain neither secrets nor URLs, only names.
///
/// # Errors
/// If an entry is wrong, or two have the same name.
pub fn parse(text: &str) -> Result<Vec<SinkSettings>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let sinks = list_of(text, entry)?;
    for (index, sink) in sinks.iter().enumerate() {
        if let Some(first) = sinks[..index].iter().position(|it| it.name == sink.name) {
            let (first, second, name) = (first + 1, index + 1, &sink.name);
            return Err(format!("entries {first} and {second} have the same name {name}; write name=url|whsec_…"));
        }
    }
    Ok(sinks)
}

fn entry(text: &str) -> Result<SinkSettings, String> {
    let (place, secret) = text.rsplit_once('|').ok_or("an entry is not [name=]url|whsec_…")?;
    let (name, url) = match place.split_once('=') {
        // In an entry without a name, a = is part of the URL's query.
        Some((name, url)) if !name.contains("://") => (Some(name), url),
        _ => (None, place),
    };
    let url = http_url(url)?;
    let name = name.map_or_else(|| derived_name(&url), checked_name)?;
    Ok(SinkSettings { name, url, secret: WebhookSecret::parse(secret)? })
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
    fn two_sinks_of_one_name_are_named_without_their_secrets() {
        let (one, two) = ("https://a.example/x?token=hush", "https://u:hush@a.example/x");
        let error = names(&["https://b.example", one, two]).unwrap_err();
        assert_eq!(error, "entries 2 and 3 have the same name a.example/x; write name=url|whsec_…");
        assert!(names(&["crm=https://b.example", "crm=https://a.example"]).unwrap_err().contains("1 and 2"));
        assert_eq!(names(&[one, &format!("crm={two}")]).unwrap(), ["a.example/x", "crm"]);
    }
}
