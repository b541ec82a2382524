//! From a request to an operation and back.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::call::Call;
use super::error::{ApiError, Exception};
use super::route::{self, Route};
use super::server::Peer;
use super::{Control, MAX_BODY, guard, percent};
use crate::audit::{AuditDecision, AuditEvent, AuditRecord};
use crate::random;

/// Longest wait for a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Carries out the operation a request names.
pub(super) async fn operation(State(control): State<Arc<Control>>, request: Request) -> Response {
    let place = control.account().place().clone();
    let answer = match answer(control, request).await {
        Ok(answer) => Ok(answer),
        Err(error) => Err(error.respond(&place)),
    };
    let mut response = match answer {
        Ok(Value::Null) => Response::new(Body::empty()),
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(response) => response,
    };
    if let Some(id) = random::uuid().ok().and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

async fn answer(control: Arc<Control>, request: Request) -> Result<Value, ApiError> {
    let (parts, body) = request.into_parts();
    let (route, path) = route::find(parts.method.as_str(), parts.uri.path())?;
    check_signed(&parts.headers)?;
    let query = percent::query(parts.uri.query().unwrap_or_default())?;
    let body = read(body).await?;
    let run = move || {
        let has_changed = Cell::new(false);
        let call = Call { control: &control, path, query, headers: &parts.headers, body, has_changed };
        let outcome = (route.handler)(&call);
        if !route.only_reads() || call.has_changed.get() {
            record(&call, route, &parts, &outcome);
        }
        outcome
    };
    spawn_blocking(run).await.unwrap_or_else(|failed| Err(ApiError::internal(failed)))
}

/// The signature is not checked: it is there so that no web page makes an operation by accident.
fn check_signed(headers: &HeaderMap) -> Result<(), ApiError> {
    let signed =
        headers.get(header::AUTHORIZATION).is_some_and(|text| text.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "));
    match signed || guard::is_from_own_page(headers) {
        true => Ok(()),
        false => Err(ApiError::new(
            Exception::MissingAuthentication,
            "header authorization is missing, expected AWS4-HMAC-SHA256 and what follows it; any credentials will do",
        )),
    }
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let words = format!("request body is broken off or longer than {MAX_BODY} bytes");
            Err(ApiError::new(Exception::RequestEntityTooLarge, words))
        }
        Err(_) => Err(ApiError::invalid(format_args!("no request body within {} s", BODY_TIMEOUT.as_secs()))),
    }
}

/// Writes a change of the account into the decision log.
fn record(call: &Call<'_>, route: &Route, parts: &Parts, outcome: &Result<Value, ApiError>) {
    let peer = parts.extensions.get::<Peer>();
    let made = outcome.as_ref().ok().and_then(|answer| answer.get("certificateId")).and_then(Value::as_str);
    let named = call.path.get("certificateId").map(String::as_str);
    call.control.broker.audit.record(AuditRecord {
        at: SystemTime::now(),
        event: AuditEvent::ControlPlane,
        decision: if outcome.is_ok() { AuditDecision::Allowed } else { AuditDecision::Denied },
        connection: peer.map_or(0, |peer| peer.connection),
        peer: peer.map(|peer| peer.address),
        client_id: None,
        certificate_id: made.or(named).and_then(|id| id.parse().ok()),
        certificate_kind: None,
        topic: call.path.get("topic").cloned(),
        decided_by: None,
        reason: outcome.as_ref().err().map(ToString::to_string),
        operation: Some(route.operation.to_owned()),
        resource: Some(parts.uri.path().to_owned()),
    });
}

/// A JSON answer.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
