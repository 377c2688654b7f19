//! Style, script and icons, embedded. Each is served under the hash of its content and is immutable there, so that a new version is
//! fetched at once and an old one never again.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::http::internal::path::Names;
use crate::http::problem::{ApiError, Kind};

/// Bytes of the hash that stand in a name.
const HASH: usize = 8;

pub struct Asset {
    /// Its path below the prefix.
    pub path: String,
    media_type: &'static str,
    bytes: &'static [u8],
}

pub struct Assets {
    pub style: Asset,
    pub script: Asset,
    pub icons: Asset,
}

pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: asset("style", "css", "text/css; charset=utf-8", include_bytes!("../../../assets/style.css")),
    script: asset("live", "js", "text/javascript; charset=utf-8", include_bytes!("../../../assets/live.js")),
    icons: asset("icons", "svg", "image/svg+xml", include_bytes!("../../../assets/icons.svg")),
});

fn asset(name: &str, ending: &str, media_type: &'static str, bytes: &'static [u8]) -> Asset {
    let hash = hex::encode(&Sha256::digest(bytes)[..HASH]);
    Asset { path: format!("/assets/{name}-{hash}.{ending}"), media_type, bytes }
}

pub fn router() -> Router {
    Router::new().route("/assets/{name}", get(serve))
}

async fn serve(Names(name): Names<String>) -> Result<Response, ApiError> {
    let Assets { style, script, icons } = &*ASSETS;
    let is_it = |asset: &&&Asset| asset.path.strip_prefix("/assets/") == Some(name.as_str());
    let asset = [style, script, icons].iter().find(is_it).copied().ok_or(ApiError::new(Kind::NotFound))?;
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, asset.bytes).into_response())
}
