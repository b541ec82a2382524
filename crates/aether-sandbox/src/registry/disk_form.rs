//! How certificates and Things are written to disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{CertificateKind, CertificateRecord, CertificateStatus, ThingRecord};
use crate::disk::{self, Access};
use crate::{CertificateId, StartError};

/// Version of the file forms below.
const FORMAT: u32 = 1;

/// A certificate as a file: `registry/certificates/<id>.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredCertificate {
    format: u32,
    id: String,
    kind: CertificateKind,
    pub(super) status: CertificateStatus,
    pub(super) policies: Vec<String>,
    pub(super) thing: Option<String>,
    issued_at_unix: u64,
    /// Present until the certificate is registered.
    pub(super) ownership: Option<StoredOwnership>,
    pem: String,
}

/// The proof a device has to bring to register a pending certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredOwnership {
    /// Hash of the token: the token itself is a secret of the device.
    pub(super) token_sha256: String,
    pub(super) expires_at_unix: u64,
}

/// A Thing as a file: `registry/things/<name>.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredThing {
    format: u32,
    name: String,
    attributes: BTreeMap<String, String>,
    certificates: Vec<String>,
    registered_at_unix: u64,
}

impl StoredCertificate {
    pub(super) fn new(record: &CertificateRecord, pem: &str, ownership: Option<StoredOwnership>) -> Self {
        Self {
            format: FORMAT,
            id: record.id.to_string(),
            kind: record.kind,
            status: record.status,
            policies: record.policies.clone(),
            thing: record.thing.clone(),
            issued_at_unix: to_unix(record.issued_at),
            ownership,
            pem: pem.to_owned(),
        }
    }

    pub(super) fn record(&self) -> Result<CertificateRecord, String> {
        check_format(self.format)?;
        Ok(CertificateRecord {
            id: self.id.parse().map_err(|bad: crate::InvalidId| bad.to_string())?,
            kind: self.kind,
            status: self.status,
            policies: self.policies.clone(),
            thing: self.thing.clone(),
            issued_at: from_unix(self.issued_at_unix),
        })
    }

    /// Whether it is still pending and the time to register it is over.
    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        self.status == CertificateStatus::PendingActivation
            && self.ownership.as_ref().is_some_and(|ownership| to_unix(now) >= ownership.expires_at_unix)
    }

    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.id))
    }
}

impl StoredThing {
    pub(super) fn new(record: &ThingRecord) -> Self {
        Self {
            format: FORMAT,
            name: record.name.clone(),
            attributes: record.attributes.clone(),
            certificates: record.certificates.iter().map(ToString::to_string).collect(),
            registered_at_unix: to_unix(record.registered_at),
        }
    }

    pub(super) fn record(&self) -> Result<ThingRecord, String> {
        check_format(self.format)?;
        let certificates = self.certificates.iter().map(|id| id.parse::<CertificateId>());
        Ok(ThingRecord {
            name: self.name.clone(),
            attributes: self.attributes.clone(),
            certificates: certificates.collect::<Result<_, _>>().map_err(|bad| bad.to_string())?,
            registered_at: from_unix(self.registered_at_unix),
        })
    }

    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.name))
    }
}

/// Reads every JSON file of a folder; a damaged one is an error that names it.
pub(super) fn read_all<T: DeserializeOwned, R>(
    folder: &Path,
    expected: &'static str,
    record: impl Fn(&T) -> Result<R, String>,
) -> Result<Vec<(T, R)>, StartError> {
    disk::create_private_dir(folder)?;
    let mut found = Vec::new();
    for path in disk::files_with_extension(folder, "json")? {
        let text = std::fs::read(&path).map_err(StartError::io("read", &path))?;
        let stored: T = serde_json::from_slice(&text).map_err(StartError::invalid_file(&path, expected))?;
        let record = record(&stored).map_err(StartError::invalid_file(&path, expected))?;
        found.push((stored, record));
    }
    Ok(found)
}

/// Writes one of the forms above. It names ids and hashes, so it is for the owner alone.
pub(super) fn write<T: Serialize>(path: &Path, stored: &T) -> std::io::Result<()> {
    let mut text = serde_json::to_vec_pretty(stored)?;
    text.push(b'\n');
    disk::write_atomic(path, &text, Access::Owner)
}

/// Whole seconds since 1970; earlier times count as 1970.
pub(super) fn to_unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn from_unix(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn check_format(found: u32) -> Result<(), String> {
    match found == FORMAT {
        true => Ok(()),
        false => Err(format!("format is {found}, expected {FORMAT}")),
    }
}
