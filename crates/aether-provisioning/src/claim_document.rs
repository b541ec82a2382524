//! The document by which a trusted user hands a claim over (CreateProvisioningClaim).

use std::time::{Duration, SystemTime};

use aether_mqtt::{Credentials, CredentialsError};
use chrono::DateTime;
use serde_json::{Map, Value};

use crate::CertificateId;

/// A claim certificate that a trusted user has had made for one device, good for five minutes.
///
/// Read from JSON as `aws iot create-provisioning-claim` prints it (AWS IoT API Reference, "CreateProvisioningClaim"):
/// `certificateId`, `certificatePem`, `keyPair.PrivateKey` and `expiration`, which is either seconds since 1970, as the
/// API and version 1 of the command line write it, or a time as ISO 8601 writes it with its offset from UTC, as version 2
/// does. Whatever else is in it is passed over. `Debug` shows nothing of the key.
///
/// ```
/// use aether_provisioning::ClaimDocument;
///
/// # let (certificate, key) = aether_mqtt::testing::self_signed("claim");
/// # let text = serde_json::json!({
/// #     "certificateId": "5d0c0e6f", "certificatePem": certificate, "expiration": 1795334700.5,
/// #     "keyPair": { "PublicKey": "", "PrivateKey": key },
/// # }).to_string();
/// let document = ClaimDocument::from_json(text.as_bytes())?;
/// assert_eq!(document.certificate_id().as_str(), "5d0c0e6f");
/// # Ok::<(), aether_provisioning::InvalidClaimDocument>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClaimDocument {
    certificate_id: CertificateId,
    credentials: Credentials,
    expires_at: SystemTime,
}

/// Why a text is no claim of a trusted user. Nothing of the text is repeated: it holds a private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClaimDocument {
    /// It is longer than such a document is.
    #[error("it has more than {limit} bytes, which no provisioning claim has")]
    TooLong {
        /// The most bytes that are read.
        limit: usize,
    },
    /// It is not JSON.
    #[error("it is not JSON at line {line}, column {column}, expected what `aws iot create-provisioning-claim` prints")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 at the end of a line.
        column: usize,
    },
    /// A member is not there, or holds something else than it should.
    #[error("member {member:?} is {found}, expected {expected}")]
    Member {
        /// Its path, such as `keyPair.PrivateKey`.
        member: &'static str,
        /// The kind of what is there.
        found: &'static str,
        /// What should be there.
        expected: &'static str,
    },
    /// The certificate and the key cannot be used together.
    #[error("members \"certificatePem\" and \"keyPair.PrivateKey\" are not a certificate and its private key")]
    Credentials(#[source] CredentialsError),
}

impl ClaimDocument {
    /// The most bytes of a document: some five times what one has.
    pub const MAX_LEN: usize = 32 * 1024;

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`InvalidClaimDocument`]: it is not JSON, a member is missing, or its key is not the certificate's. That the claim
    /// has expired is no error here: the clock may not be set yet.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidClaimDocument> {
        if text.len() > Self::MAX_LEN {
            return Err(InvalidClaimDocument::TooLong { limit: Self::MAX_LEN });
        }
        // The reader's own message may repeat what it met, and that may be the key.
        let document: Value = serde_json::from_slice(text)
            .map_err(|e| InvalidClaimDocument::Json { line: e.line(), column: e.column() })?;
        let document = object("(document)", Some(&document))?;
        let certificate_id = text_of("certificateId", document.get("certificateId"))?;
        let certificate_id = certificate_id.parse().map_err(|_| InvalidClaimDocument::Member {
            member: "certificateId",
            found: "another text",
            expected: "the id of a certificate",
        })?;
        let certificate = text_of("certificatePem", document.get("certificatePem"))?;
        let key_pair = object("keyPair", document.get("keyPair"))?;
        let key = text_of("keyPair.PrivateKey", key_pair.get("PrivateKey"))?;
        let expires_at = time("expiration", document.get("expiration"))?;
        let credentials = Credentials::from_pem(certificate.as_bytes(), key.as_bytes());
        let credentials = credentials.map_err(InvalidClaimDocument::Credentials)?;
        Ok(Self { certificate_id, credentials, expires_at })
    }

    /// The service's name for the claim certificate.
    #[must_use]
    pub fn certificate_id(&self) -> &CertificateId {
        &self.certificate_id
    }

    /// The claim certificate and its key.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Until when the claim is good, for [`Claim::expires_at`](crate::Claim::expires_at).
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

fn object<'a>(member: &'static str, value: Option<&'a Value>) -> Result<&'a Map<String, Value>, InvalidClaimDocument> {
    value.and_then(Value::as_object).ok_or_else(|| wrong(member, value, "an object"))
}

fn text_of<'a>(member: &'static str, value: Option<&'a Value>) -> Result<&'a str, InvalidClaimDocument> {
    value.and_then(Value::as_str).ok_or_else(|| wrong(member, value, "a text"))
}

/// Seconds since 1970, or ISO 8601 with an offset.
fn time(member: &'static str, value: Option<&Value>) -> Result<SystemTime, InvalidClaimDocument> {
    const EXPECTED: &str = "seconds since 1970, or a time such as 2026-11-22T08:05:00+00:00";
    let seconds = match value {
        Some(Value::Number(seconds)) => seconds.as_f64(),
        Some(Value::String(text)) => {
            let time = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%FT%T%.f%z"));
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of this epoch are far below 2^53")]
            time.ok().map(|time| time.timestamp_millis() as f64 / 1000.0)
        }
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    time.ok_or_else(|| wrong(member, value, EXPECTED))
}

fn wrong(member: &'static str, value: Option<&Value>, expected: &'static str) -> InvalidClaimDocument {
    let found = match value {
        None => "missing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a truth value",
        Some(Value::Number(_)) => "a number out of range",
        Some(Value::String(_)) => "another text",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    };
    InvalidClaimDocument::Member { member, found, expected }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use aether_mqtt::testing;
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        let (certificate, key) = testing::self_signed("claim");
        json!({
            "certificateId": "5d".repeat(32),
            "certificatePem": certificate,
            "keyPair": { "PublicKey": "-----BEGIN PUBLIC KEY-----", "PrivateKey": key },
            "expiration": 1_795_334_700,
        })
    }

    fn read(document: &Value) -> Result<ClaimDocument, InvalidClaimDocument> {
        ClaimDocument::from_json(document.to_string().as_bytes())
    }

    /// Reads the document with `path` replaced (`None`: removed); the error must name `member` and repeat nothing.
    #[track_caller]
    fn refused(path: &str, value: Option<Value>, parts: &[&str]) {
        let mut document = document();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert(name.to_owned(), value),
            None => parent.remove(name),
        };
        let error = read(&document).unwrap_err();
        let text = format!("{error} {error:?} {:?}", error.source());
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("secret-text") && !text.contains("BEGIN PRIVATE KEY-----\\n"), "{text}");
    }

    #[test]
    fn the_time_is_read_as_both_versions_of_the_command_line_write_it() {
        let at = |expiration: Value| {
            let mut document = document();
            document["expiration"] = expiration;
            read(&document).unwrap().expires_at().duration_since(SystemTime::UNIX_EPOCH).unwrap()
        };
        let exact = Duration::from_secs(1_795_334_700);
        for whole in [json!(1_795_334_700), json!("2026-11-22T08:05:00Z"), json!("2026-11-22T09:05:00+01:00")] {
            assert_eq!(at(whole), exact);
        }
        for half in
            [json!(1_795_334_700.5), json!("2026-11-22T08:05:00.500000+00:00"), json!("2026-11-22T08:05:00.5+0000")]
        {
            assert_eq!(at(half), exact + Duration::from_millis(500));
        }
    }

    #[test]
    fn certificate_and_key_come_with_their_id() {
        let read = read(&document()).unwrap();
        assert_eq!(read.certificate_id().as_str(), "5d".repeat(32));
        assert_eq!(read.credentials().common_name(), Some("claim"));
        assert!(!format!("{read:?}").contains("PRIVATE KEY"), "{read:?}");
    }

    #[test]
    fn each_member_that_is_missing_or_wrong_is_named_and_not_repeated() {
        for (path, member) in [
            ("/certificateId", "certificateId"),
            ("/certificatePem", "certificatePem"),
            ("/keyPair", "keyPair"),
            ("/keyPair/PrivateKey", "keyPair.PrivateKey"),
            ("/expiration", "expiration"),
        ] {
            refused(path, None, &[member, "missing", "expected"]);
            refused(path, Some(Value::Null), &[member, "null"]);
            refused(path, Some(json!(["secret-text"])), &[member, "an array"]);
        }
        refused("/certificateId", Some(json!("../secret-text")), &["certificateId", "another text"]);
        refused("/certificatePem", Some(json!("secret-text")), &["certificatePem"]);
        refused("/keyPair", Some(json!("secret-text")), &["keyPair", "an object"]);
        refused("/keyPair/PrivateKey", Some(json!("secret-text")), &["keyPair.PrivateKey", "private key"]);
        let (_, other) = testing::self_signed("other");
        refused("/keyPair/PrivateKey", Some(json!(other)), &["Mismatch", "claim"]);
        for time in [json!("secret-text"), json!(-1), json!(1e300), json!("2026-11-22")] {
            refused("/expiration", Some(time), &["expiration", "seconds since 1970"]);
        }
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place_alone() {
        let error = ClaimDocument::from_json(b"{\n\"certificateId\": secret-text }").unwrap_err();
        assert!(error.to_string().contains("line 2, column"), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        let long = vec![b' '; ClaimDocument::MAX_LEN + 1];
        assert!(matches!(ClaimDocument::from_json(&long), Err(InvalidClaimDocument::TooLong { .. })));
        assert!(ClaimDocument::from_json(b"7").unwrap_err().to_string().contains("expected an object"));
        assert!(ClaimDocument::from_json(&[b'['; 30_000]).is_err(), "however deep it is nested");
    }
}
