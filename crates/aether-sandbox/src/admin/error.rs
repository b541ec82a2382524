//! What the API answers when it does not do what was asked.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::account::AccountError;

/// A refusal: a status of HTTP and a sentence, as `{"error": "…"}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    words: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, words: words.into() }
    }

    pub(super) fn invalid(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    pub(super) fn inside(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = super::routes::json(self.status, &json!({ "error": self.words }));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        if let AccountError::Io { source, .. } = &error {
            return Self::inside(format!("{error}: {source}"));
        }
        let missing = matches!(error, AccountError::NotFound { .. });
        Self::new(if missing { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT }, error.to_string())
    }
}
