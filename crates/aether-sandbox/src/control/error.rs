//! Refusals in the form of AWS's REST-JSON protocol.

use std::fmt;

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::dispatch::json_response;
use super::quoted::shorten;
use crate::account::{AccountError, InvalidName, Place, Resource};

/// The exceptions of the API Reference this service throws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    CertificateConflict,
    CertificateState,
    CertificateValidation,
    ConflictingResourceUpdate,
    DeleteConflict,
    InternalFailure,
    InvalidRequest,
    LimitExceeded,
    MalformedPolicy,
    MissingAuthentication,
    Forbidden,
    NotImplemented,
    RegistrationCodeValidation,
    RequestEntityTooLarge,
    ResourceAlreadyExists,
    ResourceNotFound,
    ResourceRegistrationFailure,
    Throttling,
    UnknownOperation,
    VersionConflict,
    VersionsLimitExceeded,
}

impl Exception {
    /// Its name, and the status it comes with.
    fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::CertificateConflict => ("CertificateConflictException", StatusCode::CONFLICT),
            Self::CertificateState => ("CertificateStateException", StatusCode::NOT_ACCEPTABLE),
            Self::CertificateValidation => ("CertificateValidationException", StatusCode::BAD_REQUEST),
            Self::ConflictingResourceUpdate => ("ConflictingResourceUpdateException", StatusCode::CONFLICT),
            Self::DeleteConflict => ("DeleteConflictException", StatusCode::CONFLICT),
            Self::InternalFailure => ("InternalFailureException", StatusCode::INTERNAL_SERVER_ERROR),
            Self::InvalidRequest => ("InvalidRequestException", StatusCode::BAD_REQUEST),
            Self::LimitExceeded => ("LimitExceededException", StatusCode::GONE),
            Self::MalformedPolicy => ("MalformedPolicyException", StatusCode::BAD_REQUEST),
            Self::MissingAuthentication => ("MissingAuthenticationTokenException", StatusCode::FORBIDDEN),
            Self::Forbidden => ("ForbiddenException", StatusCode::FORBIDDEN),
            Self::NotImplemented => ("NotImplementedException", StatusCode::NOT_IMPLEMENTED),
            Self::RegistrationCodeValidation => ("RegistrationCodeValidationException", StatusCode::BAD_REQUEST),
            Self::RequestEntityTooLarge => ("RequestEntityTooLargeException", StatusCode::PAYLOAD_TOO_LARGE),
            Self::ResourceAlreadyExists => ("ResourceAlreadyExistsException", StatusCode::CONFLICT),
            Self::ResourceNotFound => ("ResourceNotFoundException", StatusCode::NOT_FOUND),
            Self::ResourceRegistrationFailure => ("ResourceRegistrationFailureException", StatusCode::BAD_REQUEST),
            // The data plane's; of the other operations none is throttled here.
            Self::Throttling => ("ThrottlingException", StatusCode::TOO_MANY_REQUESTS),
            Self::UnknownOperation => ("UnknownOperationException", StatusCode::NOT_FOUND),
            Self::VersionConflict => ("VersionConflictException", StatusCode::CONFLICT),
            Self::VersionsLimitExceeded => ("VersionsLimitExceededException", StatusCode::CONFLICT),
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.parts().0
    }
}

/// Why an operation was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", exception.name())]
pub(super) struct ApiError {
    pub(super) exception: Exception,
    pub(super) message: String,
    /// What exists already, for those who want to use it.
    pub(super) existing: Option<Existing>,
}

/// A resource that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Existing {
    /// Its name or id.
    pub(super) id: String,
    /// The word its kind has in a resource name.
    pub(super) kind: &'static str,
}

impl ApiError {
    pub(super) fn new(exception: Exception, message: impl fmt::Display) -> Self {
        Self { exception, message: shorten(&message.to_string()), existing: None }
    }

    pub(super) fn invalid(message: impl fmt::Display) -> Self {
        Self::new(Exception::InvalidRequest, message)
    }

    /// What AWS has and the sandbox has not.
    pub(super) fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new(Exception::NotImplemented, format_args!("the sandbox leaves this out: {what}"))
    }

    /// Something here failed: logged, and told without its particulars.
    pub(super) fn internal(cause: impl std::error::Error + 'static) -> Self {
        tracing::error!(error = &cause as &dyn std::error::Error, "operation failed");
        Self::new(Exception::InternalFailure, "the sandbox failed; its log says why")
    }
}

impl From<AccountError> for ApiError {
    fn from(cause: AccountError) -> Self {
        let exception = match &cause {
            AccountError::NotFound { .. } => Exception::ResourceNotFound,
            AccountError::AlreadyExists { .. } => Exception::ResourceAlreadyExists,
            AccountError::Invalid(_) | AccountError::Token => Exception::InvalidRequest,
            AccountError::MalformedPolicy(_) => Exception::MalformedPolicy,
            AccountError::DeleteConflict(_) => Exception::DeleteConflict,
            AccountError::CertificateState(_) => Exception::CertificateState,
            AccountError::CertificateValidation(_) => Exception::CertificateValidation,
            AccountError::VersionsLimit { .. } => Exception::VersionsLimitExceeded,
            AccountError::VersionConflict { .. } => Exception::VersionConflict,
            AccountError::LimitExceeded(_) => Exception::LimitExceeded,
            AccountError::ResourceConflict(_) => Exception::ConflictingResourceUpdate,
            AccountError::Io { .. } => return Self::internal(cause),
        };
        let existing = if let AccountError::AlreadyExists { what, name } = &cause {
            Some(Existing { id: name.clone(), kind: arn_kind(*what) })
        } else {
            None
        };
        Self { existing, ..Self::new(exception, cause) }
    }
}

impl From<InvalidName> for ApiError {
    fn from(cause: InvalidName) -> Self {
        Self::invalid(cause)
    }
}

/// The word a resource name has for a kind (IAM's list of AWS IoT resource types).
fn arn_kind(what: Resource) -> &'static str {
    match what {
        Resource::Certificate => "cert",
        Resource::CaCertificate => "cacert",
        Resource::Policy | Resource::PolicyVersion => "policy",
        Resource::Thing => "thing",
        Resource::ThingType => "thingtype",
        Resource::ThingGroup => "thinggroup",
        Resource::BillingGroup => "billinggroup",
        Resource::Template | Resource::TemplateVersion => "provisioningtemplate",
        Resource::RegistrationCode => "registrationcode",
    }
}

impl ApiError {
    /// The answer, of a service in this Region and account.
    pub(super) fn respond(&self, place: &Place) -> Response {
        let (name, status) = self.exception.parts();
        let mut body = json!({ "message": self.message });
        if let Some(Existing { id, kind }) = &self.existing {
            body["resourceId"] = json!(id);
            body["resourceArn"] = json!(place.arn(format_args!("{kind}/{id}")));
        }
        let mut response = json_response(status, &body);
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(name));
        response
    }
}
