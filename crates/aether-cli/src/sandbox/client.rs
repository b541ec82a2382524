//! Talks to the sandbox that runs on a directory, as its `control.json` says where.

use std::fs;
use std::io;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// A running sandbox.
#[derive(Debug)]
pub(crate) struct Client {
    dir: String,
    place: Place,
}

/// What `control.json` says.
#[derive(Deserialize)]
struct Place {
    url: String,
    token: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Client {
    /// The sandbox that runs on `dir`.
    pub(crate) fn of(dir: &Path) -> Result<Self, Failure> {
        match Self::find(dir)? {
            Some(client) => Ok(client),
            None => Err(not_running(&dir.display().to_string())),
        }
    }

    /// The sandbox that runs on `dir`, unless none seems to.
    pub(crate) fn find(dir: &Path) -> Result<Option<Self>, Failure> {
        if !dir.join("settings.json").exists() {
            let expected = "expected the directory of a sandbox; `aether sandbox up` makes one";
            return Err(Failure::settings(format!("argument --dir: {} is none, {expected}", dir.display())));
        }
        let path = dir.join("control.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::settings(format!("cannot read {}: {error}", path.display()))),
        };
        let place = serde_json::from_slice(&text)
            .map_err(|error| Failure::settings(format!("file {} is damaged: {error}", path.display())))?;
        Ok(Some(Self { dir: dir.display().to_string(), place }))
    }

    /// The page, with the token where browsers keep it to themselves.
    pub(crate) fn page(&self) -> String {
        format!("{}/#token={}", self.place.url, self.place.token)
    }

    /// Whether the sandbox answers.
    pub(crate) async fn is_there(&self) -> bool {
        self.get("/status").await.is_ok()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(Method::PUT, path, Some(body)).await
    }

    /// The whole id of the certificate that alone begins with `id`.
    pub(crate) async fn certificate(&self, id: &str) -> Result<String, Failure> {
        let found = self.get(&format!("/certificates?find={}", encoded(id))).await?;
        let ids = found["certificates"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str());
        let fitting: Vec<&str> = ids.filter(|known| known.starts_with(id)).collect();
        match fitting[..] {
            [whole] => Ok(whole.to_owned()),
            _ => {
                let words = format!("{} certificates begin with {id:?}, expected the id of one", fitting.len());
                Err(Failure::settings(words))
            }
        }
    }

    async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let response = self.send(method, path, body).await?;
        let text = response.into_body().collect().await.map_err(Failure::running)?.to_bytes();
        serde_json::from_slice(&text).map_err(Failure::running)
    }

    /// Events as the sandbox sends them.
    pub(crate) async fn events(&self, path: &str) -> Result<Events, Failure> {
        let response = self.send(Method::GET, path, None).await?;
        Ok(Events { body: response.into_body(), rest: Vec::new() })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, Failure> {
        let authority = self.place.url.strip_prefix("http://").unwrap_or(&self.place.url);
        // Refused, reset, or another program that has the port now: in any case no sandbox of this directory.
        let gone = |_| not_running(&self.dir);
        let stream = TcpStream::connect(authority).await.map_err(gone)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::running)?;
        // It ends with the answer; what went wrong shows there.
        tokio::spawn(connection);
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("/_sandbox/v1{path}"))
            .header(HOST, authority)
            .header(AUTHORIZATION, format!("Bearer {}", self.place.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))
            .map_err(Failure::running)?;
        let response = sender.send_request(request).await.map_err(Failure::running)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(not_running(&self.dir));
        }
        let text = response.into_body().collect().await.map_err(Failure::running)?.to_bytes();
        let words = serde_json::from_slice::<Value>(&text).ok();
        let words = words.as_ref().and_then(|answer| answer["error"].as_str()).unwrap_or("no reason given");
        let words = format!("the sandbox answers {}: {words}", status.as_u16());
        // What the request itself got wrong stays wrong until it is changed.
        Err(if status.is_client_error() { Failure::settings(words) } else { Failure::running(words) })
    }
}

fn not_running(dir: &str) -> Failure {
    Failure::running(format!(
        "no sandbox with an HTTP port runs on {dir}; start one with: aether sandbox up --dir {dir}"
    ))
}

/// Text as it can stand in a query (RFC 3986, section 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => safe.push(char::from(byte)),
            other => safe.push_str(&format!("%{other:02X}")),
        }
    }
    safe
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    rest: Vec<u8>,
}

impl Events {
    /// Waits for the next event; `None` when the sandbox has ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            if let Some(event) = self.take() {
                let Some(data) = event.strip_prefix(b"data: ") else { continue };
                return serde_json::from_slice(data).map(Some).map_err(Failure::running);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.rest.extend_from_slice(bytes);
                    }
                }
                // A sandbox that is killed breaks the stream off, which is an end as well.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// Takes one whole event out of what has come.
    fn take(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.windows(2).position(|two| two == b"\n\n")?;
        let mut event: Vec<u8> = self.rest.drain(..end + 2).collect();
        event.truncate(end);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_filter_holds_stands_in_a_query() {
        assert_eq!(encoded("$aws/+/#"), "%24aws%2F%2B%2F%23");
        assert_eq!(encoded("a-b.c_d~é&="), "a-b.c_d~%C3%A9%26%3D");
    }
}
