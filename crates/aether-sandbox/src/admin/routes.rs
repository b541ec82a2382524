//! Which request is answered by what, and who may ask.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde_json::Value;

use super::error::ApiError;
use super::{Admin, change, explain, faults, listing, messages, page, stream};

/// Longest body taken: a payload of a message in base64, with room.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// What an operation answers.
pub(super) type Answer = Result<Value, ApiError>;

/// The page and the API, to be merged with the routes of the control plane.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let api = Router::new()
        .route("/status", listing_of(listing::status))
        .route("/things", listing_of(listing::things))
        .route("/certificates", listing_of(listing::certificates))
        .route("/certificates/{id}/status", post(set_status))
        .route("/cas", listing_of(listing::cas))
        .route("/policies", listing_of(listing::policies))
        .route("/sessions", listing_of(listing::sessions))
        .route("/decisions", listing_of(listing::decisions))
        .route("/decisions/stream", get(decision_stream))
        .route("/messages", get(message_stream))
        .route("/publish", change_by(messages::publish))
        .route("/explain", change_by(explain::answer))
        .route("/clock", change_by(change::advance))
        .route("/faults", listing_of(faults::list).put(faults_set))
        .route("/reset", change_by(change::reset))
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "no such operation") })
        .method_not_allowed_fallback(|| async { ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method") })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), ask_for_token))
        .with_state(admin);
    let mut routes = Router::new().nest("/_sandbox/v1", api);
    for path in page::paths() {
        let serve = move || async move { page::file(path).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response()) };
        routes = routes.route(path, get(serve));
    }
    routes
}

async fn ask_for_token(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    match shown.is_some_and(|shown| admin.token.is_proved_by(shown.as_bytes())) {
        true => next.run(request).await,
        false => {
            let words = "expected the token of DIR/control.json as `Authorization: Bearer …`";
            ApiError::new(StatusCode::UNAUTHORIZED, words).into_response()
        }
    }
}

fn listing_of(list: fn(&Admin, Option<&str>) -> Answer) -> MethodRouter<Arc<Admin>> {
    get(move |State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery| async move {
        answer(list(&admin, query.as_deref()))
    })
}

fn change_by(make: fn(&Admin, &[u8]) -> Answer) -> MethodRouter<Arc<Admin>> {
    post(move |State(admin): State<Arc<Admin>>, body: Bytes| async move {
        // Changes are written to the journal, which blocks.
        answer(blocking(move || make(&admin, &body)).await)
    })
}

async fn set_status(State(admin): State<Arc<Admin>>, Path(id): Path<String>, body: Bytes) -> Response {
    answer(blocking(move || change::set_status(&admin, &id, &body)).await)
}

async fn faults_set(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    answer(faults::set(&admin, &body))
}

async fn decision_stream(State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    stream::decisions(&admin, query.as_deref()).unwrap_or_else(IntoResponse::into_response)
}

async fn message_stream(State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    messages::stream(&admin, query.as_deref()).unwrap_or_else(IntoResponse::into_response)
}

async fn blocking(make: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    match tokio::task::spawn_blocking(make).await {
        Ok(answer) => answer,
        Err(failed) => Err(ApiError::inside(failed)),
    }
}

fn answer(answer: Answer) -> Response {
    match answer {
        Ok(value) => json(StatusCode::OK, &value),
        Err(error) => error.into_response(),
    }
}

pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{value}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
