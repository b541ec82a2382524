//! Hooks behind a URL.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::target::HttpTarget;
use super::{HookError, MAX_ANSWER};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Posts the event; gives the body of the answer. Dropped, it closes the connection. Redirections
/// are not followed.
pub(super) async fn ask(target: &HttpTarget, event: Vec<u8>) -> Result<Vec<u8>, HookError> {
    let failed = |source: Cause| HookError::Http { url: target.to_string(), source };
    let (status, body) = exchange(target, event).await.map_err(failed)?;
    if status != StatusCode::OK {
        return Err(HookError::Status { url: target.to_string(), status: status.as_u16() });
    }
    body.ok_or(HookError::TooLong)
}

/// Status and body; no body if it was too long.
async fn exchange(target: &HttpTarget, event: Vec<u8>) -> Result<(StatusCode, Option<Vec<u8>>), Cause> {
    let stream = TcpStream::connect(target.address()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::builder()
        .method(Method::POST)
        .uri(target.path())
        .header(HOST, target.authority())
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(event)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    match Limited::new(answer.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => Ok((status, Some(body.to_bytes().to_vec()))),
        Err(cause) if cause.is::<http_body_util::LengthLimitError>() => Ok((status, None)),
        Err(cause) => Err(cause),
    }
}
