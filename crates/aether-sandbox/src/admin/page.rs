//! The web page: files of the program, served as they are.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

/// No script, style or picture but the page's own, no frame around it, and no text made into markup.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      object-src 'none'; require-trusted-types-for 'script'";

struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($file:literal as $kind:literal),* $(,)?) => {
        &[$(Asset {
            path: concat!("/_sandbox/page/", $file),
            kind: $kind,
            text: include_str!(concat!("../../assets/", $file)),
        }),*]
    };
}

/// The page itself.
const INDEX: Asset =
    Asset { path: "/", kind: "text/html; charset=utf-8", text: include_str!("../../assets/index.html") };

/// What the page is made of.
const ASSETS: &[Asset] = assets![
    "page.css" as "text/css; charset=utf-8",
    "icon.svg" as "image/svg+xml",
    "page.js" as "text/javascript; charset=utf-8",
    "api.js" as "text/javascript; charset=utf-8",
    "dom.js" as "text/javascript; charset=utf-8",
    "messages.js" as "text/javascript; charset=utf-8",
    "decisions.js" as "text/javascript; charset=utf-8",
    "things.js" as "text/javascript; charset=utf-8",
    "certificates.js" as "text/javascript; charset=utf-8",
    "policies.js" as "text/javascript; charset=utf-8",
    "sessions.js" as "text/javascript; charset=utf-8",
    "explain.js" as "text/javascript; charset=utf-8",
    "faults.js" as "text/javascript; charset=utf-8",
    "clock.js" as "text/javascript; charset=utf-8",
];

/// The file of this path, if the page has one.
pub(super) fn file(path: &str) -> Option<Response> {
    [&INDEX].into_iter().chain(ASSETS).find(|asset| asset.path == path).map(answer)
}

/// The paths of all files.
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    [&INDEX].into_iter().chain(ASSETS).map(|asset| asset.path)
}

fn answer(asset: &Asset) -> Response {
    let mut response = Response::new(Body::from(asset.text));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    // Another version of the program on the same port must not meet the files of this one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_finds_every_file_it_names_and_none_beyond_the_sandbox() {
        let mut texts = vec![INDEX.text];
        texts.extend(ASSETS.iter().map(|asset| asset.text));
        for text in texts {
            assert!(!text.contains("https://") && !text.contains("innerHTML"));
            for named in text.split('"').filter(|part| part.starts_with("/_sandbox/page/") || part.starts_with("./")) {
                let path = named.replace("./", "/_sandbox/page/");
                assert!(ASSETS.iter().any(|asset| asset.path == path), "{named}");
            }
        }
    }
}
