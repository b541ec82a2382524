//! What can be changed: a certificate's status, the clock, what devices have left behind.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Admin;
use super::error::ApiError;
use super::listing::time;
use super::routes::Answer;
use crate::{CertificateId, CertificateStatus};

/// Farthest move of the clock at once: a hundred years.
const MAX_ADVANCE: u64 = 100 * 365 * 24 * 60 * 60;

/// Reads a body strictly.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|cause| ApiError::invalid(format!("body: {cause}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetStatus {
    status: Wanted,
}

/// The states a user can set (API Reference, UpdateCertificate).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Wanted {
    Active,
    Inactive,
    Revoked,
}

/// `POST /certificates/{id}/status`.
pub(super) fn set_status(admin: &Admin, id: &str, body: &[u8]) -> Answer {
    let id: CertificateId = id.parse().map_err(|cause: crate::InvalidId| ApiError::invalid(cause.to_string()))?;
    let status = match read::<SetStatus>(body)?.status {
        Wanted::Active => CertificateStatus::Active,
        Wanted::Inactive => CertificateStatus::Inactive,
        Wanted::Revoked => CertificateStatus::Revoked,
    };
    admin.broker.account.change(|tx| tx.set_status(&id, status))?;
    Ok(json!({ "id": id.as_str(), "status": status.as_str() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u64,
}

/// `POST /clock`.
pub(super) fn advance(admin: &Admin, body: &[u8]) -> Answer {
    let Advance { advance_s } = read(body)?;
    if !(1..=MAX_ADVANCE).contains(&advance_s) {
        return Err(ApiError::invalid(format!("advance_s is {advance_s}, expected 1 to {MAX_ADVANCE}")));
    }
    let clock = admin.broker.account.clock();
    clock.advance(Duration::from_secs(advance_s));
    // What has ended by now goes at once, so that listings show it.
    admin.broker.account.change(|_| Ok(()))?;
    Ok(json!({ "now": time(clock.now()), "clock_ahead_s": clock.ahead().as_secs() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    confirm: bool,
}

/// `POST /reset`.
pub(super) fn reset(admin: &Admin, body: &[u8]) -> Answer {
    match read::<Reset>(body)?.confirm {
        true => Ok(json!({ "forgotten": admin.broker.forget_devices()? })),
        false => Err(ApiError::invalid("confirm is false, expected true: what is forgotten does not come back")),
    }
}
