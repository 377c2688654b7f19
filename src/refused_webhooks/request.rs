//! The stored parts of a refused request: enough to verify it again, no credentials, nothing parsed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::refused_webhooks::{Cause, NewRefusedWebhook};
use crate::provider::{Headers, Provider, signature};

/// The maximum length of names and paths, in characters; those of real providers are far shorter.
const MAX_NAME: usize = 64;
const MAX_PATH: usize = 512;
/// The size of a row with its indexes, so that empty requests are bounded, too.
const A_ROW: usize = 512;

pub struct Refused<'a> {
    pub cause: Cause,
    /// The provider that its path names, if any.
    pub provider: Option<&'a dyn Provider>,
    pub head: &'a Parts,
    /// Its body, if it arrived and was not too large.
    pub body: Option<Vec<u8>>,
    pub received_at: Time,
}

impl Refused<'_> {
    /// The row to insert. A body that would make it larger than `most` is left out.
    pub(super) fn into_row(self, id: Uuid, most: i64) -> NewRefusedWebhook {
        let Self { cause, provider, head, body, received_at } = self;
        let signed = provider.map_or(signature::HEADERS, Provider::signed_headers);
        let credentials = provider.map(Provider::credentials).unwrap_or_default();
        let headers = Headers::kept_with(&head.headers, signed, credentials);
        let headers = serde_json::to_value(headers).unwrap_or_default();
        let path = head.uri.path();
        let name = provider.map_or_else(|| addressee(path), |it| it.name());
        let (name, path) = (cut(name, MAX_NAME), cut(path, MAX_PATH));
        let bare = A_ROW + headers.to_string().len() + path.len() + name.len();
        let body_bytes = body.as_ref().map(Vec::len).or_else(|| declared(head)).and_then(|it| i64::try_from(it).ok());
        let bytes = |body: usize| i64::try_from(bare + body).unwrap_or(i64::MAX);
        let body = body.filter(|body| bytes(body.len()) <= most);
        NewRefusedWebhook {
            id,
            provider: name,
            cause,
            received_at,
            source: source(head),
            method: cut(head.method.as_str(), MAX_NAME),
            path,
            headers,
            bytes: bytes(body.as_ref().map_or(0, Vec::len)),
            body_bytes,
            body,
        }
    }
}

/// The last segment of a path, ignoring trailing slashes.
#[must_use]
pub fn addressee(path: &str) -> &str {
    path.rsplit('/').find(|it| !it.is_empty()).unwrap_or_default()
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn declared(head: &Parts) -> Option<usize> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The counted source. The holder of an IPv6 address has all 2^64 of its network, so the network counts as one.
fn source(head: &Parts) -> String {
    let Some(ConnectInfo(peer)) = head.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return "unknown".to_owned();
    };
    match peer.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn head(path: &str, peer: Option<&str>, headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::post(path), |it, (name, value)| it.header(*name, *value));
        let mut head = request.body(()).unwrap().into_parts().0;
        if let Some(peer) = peer {
            head.extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        }
        head
    }

    fn row(head: &Parts, body: Option<&[u8]>, most: i64) -> NewRefusedWebhook {
        let (cause, body) = (Cause::UnknownProvider, body.map(<[u8]>::to_vec));
        let refused = Refused { cause, provider: None, head, body, received_at: Time::UNIX_EPOCH };
        refused.into_row(Uuid::nil(), most)
    }

    #[test]
    fn a_source_is_an_address_or_the_network_of_one() {
        for (peer, counted) in [
            (Some("192.0.2.7:80"), "192.0.2.7"),
            (Some("[::ffff:192.0.2.7]:80"), "192.0.2.7"),
            (Some("[2001:db8:1:2:3:4:5:6]:80"), "2001:db8:1:2::/64"),
            (Some("[2001:db8:1:2:ffff::1]:80"), "2001:db8:1:2::/64"),
            (None, "unknown"),
        ] {
            assert_eq!(row(&head("/webhooks/x", peer, &[]), None, 10_000).source, counted);
        }
    }

    #[test]
    fn a_row_counts_all_that_it_holds_and_more() {
        let plain = head("/webhooks/x", None, &[]);
        let empty = row(&plain, Some(b""), 10_000);
        assert!(empty.bytes >= 512, "{}", empty.bytes);
        let full = row(&plain, Some(&[b'x'; 1_000]), 10_000);
        assert_eq!((full.bytes - empty.bytes, full.body_bytes), (1_000, Some(1_000)));
        let large = row(&plain, Some(&[b'x'; 1_000]), 1_000);
        assert_eq!((large.body, large.body_bytes, large.bytes), (None, Some(1_000), empty.bytes));
        let declared = row(&head("/webhooks/x", None, &[("content-length", "77")]), None, 10_000);
        assert_eq!(declared.body_bytes, Some(77));
    }

    /// Even the smallest allowed bound leaves room for each request without its body in its source's half.
    #[test]
    fn the_kept_part_of_any_head_is_bounded() {
        let long = "\"".repeat(60_000);
        let names: Vec<String> = (0..200).map(|n| format!("x-{n}")).collect();
        let mut many: Vec<(&str, &str)> = names.iter().map(|it| (it.as_str(), &long[..2_000])).collect();
        many.extend(signature::HEADERS.iter().map(|it| (*it, long.as_str())));
        let row = row(&head(&format!("/webhooks/{}", "y".repeat(60_000)), None, &many), None, 131_072);
        assert!(row.bytes <= 131_072, "{}", row.bytes);
        assert_eq!((row.provider.len(), row.path.len()), (64, 512));
    }
}
