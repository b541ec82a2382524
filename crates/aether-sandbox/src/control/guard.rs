//! Who may ask: local programs, and pages this port has served itself.
//!
//! The port is plain HTTP on a loopback address, which every web page of every browser on the machine
//! can reach. Two things keep such pages out. A page of another origin says so in `Origin` or
//! `Sec-Fetch-Site`, and cannot leave both away. And a page that had its own name point here (DNS
//! rebinding) sends that name in `Host`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Control;
use super::error::{ApiError, Exception};

/// Names a port may be called by, besides `localhost` and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(Vec<String>);

impl Names {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    fn contains(&self, host: &str) -> bool {
        host == "localhost" || host.parse::<IpAddr>().is_ok() || self.0.iter().any(|name| name == host)
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Lets a request pass, or refuses it.
pub(super) async fn check(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    match judge(request.method(), request.headers(), &control.names) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.respond(control.account().place()),
    }
}

fn refused(words: impl std::fmt::Display) -> ApiError {
    ApiError::new(Exception::Forbidden, words)
}

fn judge(method: &Method, headers: &HeaderMap, names: &Names) -> Result<(), ApiError> {
    let host = host(headers)?;
    if !names.contains(name_of(&host)) {
        let words = "expected an IP address, localhost, or a name the sandbox was told";
        return Err(refused(format_args!("header host is {host:?}, {words}")));
    }
    if let Some(origin) = headers.get(header::ORIGIN)
        && !is_own(origin.as_bytes(), &host)
    {
        return Err(refused("header origin names another place, expected none or this port's own"));
    }
    match text(headers, &SEC_FETCH_SITE) {
        None | Some("same-origin" | "none") => Ok(()),
        // A link that leads here: the reader of the answer is the person, not the other page.
        Some(_) if *method == Method::GET && is_visit(headers) => Ok(()),
        Some(_) => Err(refused("the request comes from a page of another place")),
    }
}

/// Whether a page this port has served itself made the request.
pub(super) fn is_from_own_page(headers: &HeaderMap) -> bool {
    let own = |origin: &[u8]| host(headers).is_ok_and(|host| is_own(origin, &host));
    headers.get(header::ORIGIN).is_some_and(|origin| own(origin.as_bytes()))
        || text(headers, &SEC_FETCH_SITE) == Some("same-origin")
}

fn is_visit(headers: &HeaderMap) -> bool {
    text(headers, &SEC_FETCH_MODE) == Some("navigate") && text(headers, &SEC_FETCH_DEST) == Some("document")
}

fn host(headers: &HeaderMap) -> Result<String, ApiError> {
    let mut found = headers.get_all(header::HOST).iter();
    match (found.next().and_then(|host| host.to_str().ok()), found.next()) {
        (Some(host), None) => Ok(host.to_ascii_lowercase()),
        (_, _) => Err(refused("expected one header host")),
    }
}

fn is_own(origin: &[u8], host: &str) -> bool {
    origin.to_ascii_lowercase().strip_prefix(b"http://").is_some_and(|origin| origin == host.as_bytes())
}

/// A host without its port and brackets.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(name, _)| name);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: bool, method: Method, pairs: &[(&'static str, &str)]) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let names = Names::new(["Sandbox".to_owned()]);
        assert_eq!(judge(&method, &headers, &names).is_ok(), expected, "{pairs:?}");
    }

    #[test]
    fn only_addresses_localhost_and_known_names_are_a_host() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "192.168.1.7", "sandbox:8080"] {
            check(true, Method::GET, &[("host", host)]);
        }
        for host in ["evil.example", "localhost.evil.example:8080", "127.0.0.1.evil.example", "[::1", ""] {
            check(false, Method::GET, &[("host", host)]);
        }
        check(false, Method::GET, &[]);
        check(false, Method::GET, &[("host", "localhost"), ("host", "evil.example")]);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let host = ("host", "localhost:8080");
        check(true, Method::POST, &[host, ("origin", "http://localhost:8080")]);
        for origin in ["http://localhost:8081", "http://evil.example", "https://localhost:8080", "null"] {
            check(false, Method::POST, &[host, ("origin", origin)]);
        }
        check(true, Method::POST, &[host, ("sec-fetch-site", "same-origin")]);
        check(false, Method::GET, &[host, ("sec-fetch-site", "cross-site")]);
        check(false, Method::GET, &[host, ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")]);
        let visit = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        check(true, Method::GET, &[host, visit[0], visit[1], visit[2]]);
        check(false, Method::POST, &[host, visit[0], visit[1], visit[2]]);
        check(false, Method::GET, &[host, visit[0], visit[1], ("sec-fetch-dest", "iframe")]);
    }
}
