//! An identity store in a directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aether_mqtt::{Credentials, CredentialsError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{IdentityStore, StoreError, Stored, files};
use crate::{CertificateId, Identity, IssuedCertificate, OwnershipToken};

/// Keeps the identity in files of one directory.
///
/// ```text
/// <path>/
///   active      certificate id of the identity in use
///   previous    … of the one before it
///   pending     … of the one that is being made
///   identities/<certificate id>/
///     certificate.pem
///     private.key
///     issued.json     ownership token and time of issue, until the Thing is registered
///     identity.json   Thing name and device configuration, from then on
/// ```
///
/// Every file is written beside its place, synced, renamed into it, and the directory synced, so that a power cut finds
/// the old or the new. The names `active` and `pending` are written last: what they point at is complete. Files have
/// mode 0600 and directories 0700 from the moment they exist.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    root: PathBuf,
}

const ACTIVE: &str = "active";
const PREVIOUS: &str = "previous";
const PENDING: &str = "pending";
const IDENTITIES: &str = "identities";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "private.key";
const ISSUED: &str = "issued.json";
const IDENTITY: &str = "identity.json";

#[derive(Serialize, Deserialize)]
struct IssuedRecord {
    ownership_token: String,
    /// Seconds since 1970-01-01 UTC.
    issued_at: u64,
}

#[derive(Serialize, Deserialize)]
struct IdentityRecord {
    thing_name: String,
    #[serde(default)]
    device_configuration: BTreeMap<String, String>,
}

/// What is wrong with a record, without repeating it: it may hold the token.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("the file is missing")]
    Missing,
    #[error("not the expected JSON at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("not a certificate id")]
    Pointer,
}

impl DirectoryStore {
    /// A store in `path`. Nothing is created until something is staged.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { root: path.into() }
    }

    /// The directory of this store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn home(&self, id: &CertificateId) -> PathBuf {
        self.root.join(IDENTITIES).join(id.as_str())
    }

    fn pointer(&self, name: &str) -> Result<Option<CertificateId>, StoreError> {
        let path = self.root.join(name);
        let Some(content) = files::read(&path)? else { return Ok(None) };
        std::str::from_utf8(&content)
            .ok()
            .and_then(|text| text.trim_end().parse().ok())
            .map(Some)
            .ok_or_else(|| damaged(path, Damage::Pointer))
    }

    fn point(&self, name: &str, id: &CertificateId) -> Result<(), StoreError> {
        files::write(&self.root.join(name), format!("{id}\n").as_bytes())
    }

    fn read_credentials(&self, id: &CertificateId) -> Result<Credentials, StoreError> {
        let (certificate_path, key_path) = (self.home(id).join(CERTIFICATE), self.home(id).join(KEY));
        let (certificate, key) = (read_there(&certificate_path)?, read_there(&key_path)?);
        Credentials::from_pem(&certificate, &key).map_err(|error| {
            let of_certificate = matches!(error, CredentialsError::NoCertificate | CredentialsError::Certificate(_));
            damaged(if of_certificate { certificate_path } else { key_path }, error)
        })
    }

    fn read_identity(&self, id: CertificateId) -> Result<Identity, StoreError> {
        let path = self.home(&id).join(IDENTITY);
        let record: IdentityRecord = parse(&path, &read_there(&path)?)?;
        let thing_name = record.thing_name.parse().map_err(|e| damaged(path, e))?;
        let credentials = self.read_credentials(&id)?;
        Ok(Identity::new(thing_name, id, credentials, record.device_configuration))
    }

    fn read_issued(&self, id: CertificateId) -> Result<IssuedCertificate, StoreError> {
        let path = self.home(&id).join(ISSUED);
        let record: IssuedRecord = parse(&path, &read_there(&path)?)?;
        let issued_at =
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(record.issued_at)).unwrap_or(SystemTime::UNIX_EPOCH);
        let credentials = self.read_credentials(&id)?;
        Ok(IssuedCertificate::new(id, credentials, OwnershipToken::new(&record.ownership_token), issued_at))
    }

    /// Makes sure certificate and key are there.
    fn keep_credentials(&self, id: &CertificateId, credentials: &Credentials) -> Result<(), StoreError> {
        let home = self.home(id);
        files::create_directory(&home)?;
        let key = credentials.private_key();
        let key = key.pem().ok_or_else(|| {
            let locator = key.locator().unwrap_or_default();
            let source = io::Error::new(io::ErrorKind::Unsupported, format!("the key stays elsewhere, at {locator}"));
            StoreError::Io { doing: "write", path: home.join(KEY), source }
        })?;
        for (name, content) in [(KEY, key), (CERTIFICATE, credentials.certificate_pem())] {
            let path = home.join(name);
            if files::read(&path)?.as_deref() != Some(content) {
                files::write(&path, content)?;
            }
        }
        Ok(())
    }

    /// Makes sure the whole identity is there.
    fn keep_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let id = identity.certificate_id();
        self.keep_credentials(id, identity.credentials())?;
        let record = IdentityRecord {
            thing_name: identity.thing_name().to_string(),
            device_configuration: identity.device_configuration().clone(),
        };
        files::write(&self.home(id).join(IDENTITY), &render(&record))
    }

    /// Removes what an earlier, unfinished run left, unless something points at it.
    fn discard(&self, id: &CertificateId) {
        let pointed_at = |name| self.pointer(name).map_or(true, |pointer| pointer.as_ref() == Some(id));
        if [ACTIVE, PREVIOUS, PENDING].into_iter().any(pointed_at) {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(self.home(id)) {
            tracing::debug!(certificate_id = %id, error = &error as &dyn std::error::Error, "could not discard");
        }
    }
}

impl DirectoryStore {
    /// Removes keys and tokens that nothing points at: what a kill between two writes left.
    fn sweep(&self) {
        let entries = std::fs::read_dir(self.root.join(IDENTITIES)).into_iter().flatten().flatten();
        for id in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            self.discard(&id);
        }
    }
}

impl IdentityStore for DirectoryStore {
    fn load(&self) -> Result<Stored, StoreError> {
        if let Some(id) = self.pointer(ACTIVE)? {
            return self.read_identity(id).map(Stored::Active);
        }
        match self.pointer(PENDING)? {
            None => Ok(Stored::Empty),
            Some(id) if self.home(&id).join(IDENTITY).exists() => self.read_identity(id).map(Stored::Registered),
            Some(id) => self.read_issued(id).map(Stored::Issued),
        }
    }

    fn stage_issued(&self, issued: &IssuedCertificate) -> Result<(), StoreError> {
        let id = issued.certificate_id();
        self.keep_credentials(id, issued.credentials())?;
        let since_epoch = issued.issued_at().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let record =
            IssuedRecord { ownership_token: issued.token().reveal().to_owned(), issued_at: since_epoch.as_secs() };
        files::write(&self.home(id).join(ISSUED), &render(&record))?;
        let replaced = self.pointer(PENDING).ok().flatten();
        self.point(PENDING, id)?;
        if let Some(replaced) = replaced {
            self.discard(&replaced);
        }
        Ok(())
    }

    fn stage_registered(&self, identity: &Identity) -> Result<(), StoreError> {
        let id = identity.certificate_id();
        self.keep_identity(identity)?;
        if self.pointer(PENDING).ok().flatten().as_ref() != Some(id) {
            self.point(PENDING, id)?;
        }
        // The token is spent.
        files::remove(&self.home(id).join(ISSUED))
    }

    fn promote(&self, identity: &Identity) -> Result<(), StoreError> {
        let id = identity.certificate_id();
        // A pointer that cannot be read must not keep a good identity from its place.
        let active = self.pointer(ACTIVE).ok().flatten();
        if active.as_ref() != Some(id) {
            self.keep_identity(identity)?;
            if let Some(before) = &active {
                self.point(PREVIOUS, before)?;
            }
            self.point(ACTIVE, id)?;
        }
        files::remove(&self.root.join(PENDING))?;
        files::remove(&self.home(id).join(ISSUED))?;
        files::sync_directory(&self.root)?;
        self.sweep();
        Ok(())
    }
}

fn read_there(path: &Path) -> Result<Vec<u8>, StoreError> {
    files::read(path)?.ok_or_else(|| damaged(path, Damage::Missing))
}

fn parse<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(content).map_err(|e| damaged(path, Damage::Json { line: e.line(), column: e.column() }))
}

fn render(record: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(record).expect("texts and numbers under text keys are always JSON");
    text.push(b'\n');
    text
}

fn damaged(path: impl Into<PathBuf>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Damaged { path: path.into(), source: source.into() }
}
