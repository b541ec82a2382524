//! Server-sent events: decisions and messages as they happen (WHATWG HTML, 9.2).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Admin;
use super::decisions::Decided;
use super::error::ApiError;
use super::listing::Last;
use super::query;
use crate::AuditDecision;

/// Longest silence on a stream; then a comment shows that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// `GET /decisions/stream`: the last ones, then each that follows.
pub(super) fn decisions(admin: &Admin, query: Option<&str>) -> Result<Response, ApiError> {
    let asked: Last = query::read(query)?;
    let only = asked.only();
    let (last, live) = admin.decisions.since(asked.last, only);
    let source = Decisions { last: last.into(), live, only };
    Ok(events(source, admin.broker.stop.clone()))
}

/// Something that gives one JSON text after another.
pub(super) trait Source: Send + 'static {
    /// Waits for the next one; `None` at the end. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Option<String>> + Send;
}

/// Tells a reader that was too slow how much it has missed.
pub(super) fn missed(count: u64) -> String {
    format!("{{\"missed\":{count}}}")
}

struct Decisions {
    last: VecDeque<Decided>,
    live: Receiver<Decided>,
    only: Option<AuditDecision>,
}

impl Source for Decisions {
    async fn next(&mut self) -> Option<String> {
        if let Some(decided) = self.last.pop_front() {
            return Some(decided.json.as_ref().to_owned());
        }
        loop {
            match self.live.recv().await {
                Ok(decided) if self.only.is_some_and(|only| decided.decision != only) => {}
                Ok(decided) => return Some(decided.json.as_ref().to_owned()),
                Err(RecvError::Lagged(count)) => return Some(missed(count)),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// An answer that goes on until its source, its reader or the sandbox ends.
pub(super) fn events<S: Source>(source: S, stop: CancellationToken) -> Response {
    // The first bytes go out at once: they tell the reader that nothing is missed from now on.
    let first = Some(Bytes::from_static(b": open\n\n"));
    let body = stream::unfold((source, stop, first), |(mut source, stop, first)| async move {
        let bytes = match first {
            Some(first) => first,
            None => tokio::select! {
                () = stop.cancelled() => return None,
                next = timeout(HEARTBEAT, source.next()) => match next {
                    Ok(Some(json)) => event(json),
                    Ok(None) => return None,
                    Err(_) => Bytes::from_static(b": still here\n\n"),
                },
            },
        };
        Some((Ok::<_, Infallible>(bytes), (source, stop, None)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// JSON has no line ends of its own, so it is one line of data.
fn event(json: impl Display) -> Bytes {
    Bytes::from(format!("data: {json}\n\n"))
}
