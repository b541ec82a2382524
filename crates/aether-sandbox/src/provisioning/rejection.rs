//! Why a request is rejected, in AWS's shape (sheet, 1.2 and 1.3).

use serde_json::{Value, json};

use crate::account::AccountError;
use crate::error::Cause;

/// A rejection. AWS publishes no list of codes for the MQTT form; these are the sheet's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Rejection {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn parameters(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameters", message)
    }

    pub(super) fn csr(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidCsr", message)
    }

    pub(super) fn token(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidCertificateOwnershipToken", message)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    pub(super) fn template(name: &str) -> Self {
        Self::new(404, "TemplateNotFound", format!("Provisioning template {name} does not exist."))
    }

    fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "ResourceConflict", message)
    }

    pub(crate) fn throttled() -> Self {
        Self::new(429, "Throttled", "Too many provisioning requests at once on this connection.")
    }

    /// The reason goes to the sandbox's log and not to the device.
    pub(super) fn internal(cause: impl Into<Cause>) -> Self {
        let cause: Cause = cause.into();
        tracing::error!(error = &*cause as &dyn std::error::Error, "provisioning request failed");
        Self::new(500, "InternalFailure", "The sandbox could not complete the request.")
    }

    /// The members of the answer.
    pub(super) fn document(&self) -> Value {
        json!({ "statusCode": self.status, "errorCode": self.code, "errorMessage": self.message })
    }
}

impl From<AccountError> for Rejection {
    fn from(cause: AccountError) -> Self {
        match cause {
            AccountError::Token => Self::token("Certificate ownership token is unknown, used or expired."),
            AccountError::NotFound { .. }
            | AccountError::Invalid(_)
            | AccountError::MalformedPolicy(_)
            | AccountError::LimitExceeded(_) => Self::parameters(format!("{cause}.")),
            AccountError::ResourceConflict(_)
            | AccountError::AlreadyExists { .. }
            | AccountError::VersionConflict { .. } => Self::conflict(format!("{cause}.")),
            AccountError::DeleteConflict(_)
            | AccountError::CertificateState(_)
            | AccountError::CertificateValidation(_)
            | AccountError::VersionsLimit { .. }
            | AccountError::Io { .. } => Self::internal(cause),
        }
    }
}
