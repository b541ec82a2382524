//! The records of an identity: JSON with a format number and a checksum.
//!
//! A record without either is of the time before there were any, and is taken as it is.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aether_mqtt::Credentials;
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{CertificateId, Identity, InvalidName, IssuedCertificate};

/// The format of the records written here. Records of a higher one are left alone.
const FORMAT: u32 = 1;

/// What `issued.json` holds. No `Debug`: the token is a secret.
#[derive(Serialize, Deserialize)]
pub(super) struct IssuedRecord {
    pub(super) ownership_token: String,
    /// Seconds since 1970-01-01 UTC.
    issued_at: u64,
    /// Of the content of `certificate.pem`, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<String>,
}

/// What `identity.json` holds.
#[derive(Serialize, Deserialize)]
pub(super) struct IdentityRecord {
    pub(super) thing_name: String,
    #[serde(default)]
    pub(super) device_configuration: BTreeMap<String, String>,
    /// As of [`IssuedRecord`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    #[serde(flatten)]
    record: T,
    /// Of the record as JSON without white space, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// What is wrong with a file, without repeating it: it may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordFault {
    #[error("not the expected JSON at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("of format {0}, expected at most {FORMAT}: written by a newer version")]
    Newer(u32),
    #[error("does not fit its \"sha256\": changed since it was written")]
    Checksum,
    #[error("not the certificate that was kept: changed since it was written")]
    Certificate,
    #[error("not a certificate id")]
    Pointer(#[source] Option<InvalidName>),
    #[error("not lines of two certificate ids")]
    Takeover,
    #[error("not the locator of a key")]
    Locator,
}

impl IssuedRecord {
    pub(super) fn of(issued: &IssuedCertificate) -> Self {
        let since_epoch = issued.issued_at().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            ownership_token: issued.token().reveal().to_owned(),
            issued_at: since_epoch.as_secs(),
            certificate_sha256: Some(sha256(issued.credentials().certificate_pem())),
        }
    }

    /// Whether this certificate is the one it was written for.
    pub(super) fn is_of(&self, credentials: &Credentials) -> Result<(), RecordFault> {
        check_certificate(self.certificate_sha256.as_deref(), credentials)
    }

    /// When the certificate was issued. A time that no clock shows counts as long ago: the token is then too old.
    pub(super) fn issued_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.issued_at)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl IdentityRecord {
    pub(super) fn of(identity: &Identity) -> Self {
        Self {
            thing_name: identity.thing_name().to_string(),
            device_configuration: identity.device_configuration().clone(),
            certificate_sha256: Some(sha256(identity.credentials().certificate_pem())),
        }
    }

    /// Whether this certificate is the one it was written for.
    pub(super) fn is_of(&self, credentials: &Credentials) -> Result<(), RecordFault> {
        check_certificate(self.certificate_sha256.as_deref(), credentials)
    }
}

/// A record as text.
pub(super) fn render(record: impl Serialize) -> Vec<u8> {
    let sha256 = Some(checksum(&record));
    let mut text = serde_json::to_vec_pretty(&Sealed { format: Some(FORMAT), record, sha256 }).expect(JSON);
    text.push(b'\n');
    text
}

const JSON: &str = "texts and numbers under text keys are always JSON";

/// A record from its text.
pub(super) fn parse<T: Serialize + DeserializeOwned>(text: &[u8]) -> Result<T, RecordFault> {
    /// Read first: a later format may differ in everything else.
    #[derive(Deserialize)]
    struct Format {
        #[serde(default)]
        format: Option<u32>,
    }
    let json = |e: serde_json::Error| RecordFault::Json { line: e.line(), column: e.column() };
    let Format { format } = serde_json::from_slice(text).map_err(json)?;
    if let Some(newer) = format.filter(|&format| format > FORMAT) {
        return Err(RecordFault::Newer(newer));
    }
    let sealed: Sealed<T> = serde_json::from_slice(text).map_err(json)?;
    match sealed.sha256 {
        Some(expected) if expected != checksum(&sealed.record) => Err(RecordFault::Checksum),
        Some(_) | None => Ok(sealed.record),
    }
}

fn checksum(record: &impl Serialize) -> String {
    sha256(&serde_json::to_vec(record).expect(JSON))
}

fn check_certificate(expected: Option<&str>, credentials: &Credentials) -> Result<(), RecordFault> {
    match expected {
        Some(expected) if expected != sha256(credentials.certificate_pem()) => Err(RecordFault::Certificate),
        Some(_) | None => Ok(()),
    }
}

fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A pointer from its text.
pub(super) fn parse_pointer(text: &[u8]) -> Result<CertificateId, RecordFault> {
    let text = str::from_utf8(text).map_err(|_| RecordFault::Pointer(None))?;
    text.trim_end().parse().map_err(|e| RecordFault::Pointer(Some(e)))
}

/// Where a key is, from its text: one line of up to 4096 bytes.
pub(super) fn parse_locator(text: &[u8]) -> Result<&str, RecordFault> {
    let text = str::from_utf8(text).map_err(|_| RecordFault::Locator)?;
    let locator = text.strip_suffix('\n').unwrap_or(text);
    let sound = !locator.is_empty() && locator.len() <= 4096 && !locator.contains(|c: char| c.is_control());
    sound.then_some(locator).ok_or(RecordFault::Locator)
}

/// That an identity took over from another. It counts while `to` is the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Takeover {
    pub(super) to: CertificateId,
    pub(super) from: CertificateId,
}

/// The lines of the file `unconfirmed`.
pub(super) fn parse_takeovers(text: &[u8]) -> Result<Vec<Takeover>, RecordFault> {
    let text = str::from_utf8(text).map_err(|_| RecordFault::Takeover)?;
    text.lines()
        .map(|line| {
            let (to, from) = line.split_once(' ')?;
            Some(Takeover { to: to.parse().ok()?, from: from.parse().ok()? })
        })
        .collect::<Option<_>>()
        .ok_or(RecordFault::Takeover)
}

pub(super) fn render_takeovers(takeovers: &[Takeover]) -> Vec<u8> {
    takeovers.iter().map(|Takeover { to, from }| format!("{to} {from}\n")).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"thing_name": "line7-press3", "device_configuration": {"site": "hall-b"}}"#;

    #[test]
    fn a_record_of_before_there_were_checksums_is_read() {
        let record: IdentityRecord = parse(OLD.as_bytes()).unwrap();
        assert_eq!(
            (record.thing_name.as_str(), record.device_configuration["site"].as_str()),
            ("line7-press3", "hall-b")
        );
    }

    #[test]
    fn any_change_of_a_record_is_found() {
        let record: IdentityRecord = parse(OLD.as_bytes()).unwrap();
        let text = String::from_utf8(render(record)).unwrap();
        assert!(parse::<IdentityRecord>(text.as_bytes()).is_ok());
        for (from, to) in [("line7-press3", "line7-press2"), ("hall-b", "hall-c"), ("site", "side")] {
            let changed = text.replace(from, to);
            assert!(matches!(parse::<IdentityRecord>(changed.as_bytes()), Err(RecordFault::Checksum)), "{changed}");
        }
        let newer = text.replace("\"format\": 1", "\"format\": 2");
        let fault = parse::<IdentityRecord>(newer.as_bytes()).err().unwrap();
        assert_eq!(fault.to_string(), "of format 2, expected at most 1: written by a newer version");
    }

    #[test]
    fn a_locator_is_one_line() {
        assert_eq!(parse_locator(b"pkcs11:token=t;object=k\n").unwrap(), "pkcs11:token=t;object=k");
        for wrong in [&b""[..], b"\n", b"a\nb\n", b"a\0", &[0xff]] {
            assert!(parse_locator(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse_locator("x".repeat(4097).as_bytes()).is_err());
    }

    #[test]
    fn takeovers_are_read_as_they_were_written() {
        let takeover = |to: &str, from: &str| Takeover { to: to.parse().unwrap(), from: from.parse().unwrap() };
        let both = [takeover("c2", "c1"), takeover("c3", "c2")];
        assert_eq!(parse_takeovers(&render_takeovers(&both)).unwrap(), both);
        assert_eq!(parse_takeovers(b"").unwrap(), []);
        for wrong in [&b"c1"[..], b"c1 c2 c3", b"c1 ../x", b"\n", &[0xff]] {
            assert!(parse_takeovers(wrong).is_err(), "{wrong:?}");
        }
    }
}
