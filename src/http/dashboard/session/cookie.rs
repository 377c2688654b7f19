//! The session's cookie: 32 random bytes, of which the database holds the SHA-256 alone.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, CookieBuilder, SameSite};
use sha2::{Digest, Sha256};

/// The prefix `__Host-` makes browsers refuse a cookie of this name from a neighbouring host or over plain HTTP.
pub const NAME: &str = "__Host-account-opening";

#[derive(Clone)]
pub struct SessionCookie([u8; 32]);

impl SessionCookie {
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The cookie of a request. None: it has none, or one that was never given out.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
        let mut cookies = values.flat_map(Cookie::split_parse).flatten();
        let cookie = cookies.find(|it| it.name() == NAME)?;
        URL_SAFE_NO_PAD.decode(cookie.value()).ok()?.try_into().ok().map(Self)
    }

    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Binds the session to a token by the token's digest. Without the cookie no token can be tried against it.
    #[must_use]
    pub fn bind(&self, token: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(token).finalize().into()
    }

    /// The value of `Set-Cookie`.
    #[must_use]
    pub fn set(&self) -> HeaderValue {
        header_value(attributes(URL_SAFE_NO_PAD.encode(self.0)))
    }

    /// The value of `Set-Cookie` that makes a browser forget it.
    #[must_use]
    pub fn forget() -> HeaderValue {
        header_value(attributes(String::new()).removal())
    }
}

/// `Lax`: with `Strict` a browser would not send it when a person follows a ticket's link.
fn attributes(value: String) -> CookieBuilder<'static> {
    Cookie::build((NAME, value)).secure(true).http_only(true).same_site(SameSite::Lax).path("/")
}

fn header_value(cookie: CookieBuilder<'static>) -> HeaderValue {
    let mut value = HeaderValue::from_str(&cookie.build().to_string()).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<[u8; 32]> {
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(value).unwrap())]);
        SessionCookie::read(&headers).map(|it| it.0)
    }

    #[test]
    fn a_cookie_comes_back_and_what_was_never_given_out_is_none() {
        let set = SessionCookie::new([7; 32]).set();
        let (pair, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(read(&format!("a=b; {pair}; c=d")), Some([7; 32]));
        for wrong in ["", "a=b", &format!("{pair}x"), &pair.replace("__Host-", ""), &format!("{NAME}=BwcH")] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
