//! Reads what is kept, and passes over what is damaged.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aether_mqtt::{Credentials, CredentialsError, PrivateKey};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::disk::{Disk, Entry, Kind};
use super::super::{Fault, Finding, StoreError};
use super::layout::{self, KeyFiles, Layout};
use super::permissions::{self, Guard};
use super::records::{self, IdentityRecord, IssuedRecord};
use super::write::failed;
use crate::{CertificateId, Identity, IssuedCertificate, KeyError, KeySource, OwnershipToken};

/// The most of a file that is read. Ours are far smaller: a device configuration fits an MQTT message of 128 KiB.
const LIMIT: u64 = 1024 * 1024;

/// 2026-01-01, in seconds since 1970: a clock that shows less has not been set, and tells nothing about expiry.
const CLOCK_IS_SET: Duration = Duration::from_secs(1_767_225_600);

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is damaged; others may not be.
    Damage(PathBuf, Fault),
    /// There is no point in going on.
    Fatal(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Fatal(error)
    }
}

impl Trouble {
    pub(super) fn finding(self, what: &'static str) -> Result<Finding, StoreError> {
        match self {
            Self::Damage(path, fault) => Ok(Finding { what, path, fault }),
            Self::Fatal(error) => Err(error),
        }
    }

    /// As an error: what was asked for cannot be done without it.
    pub(super) fn error(self) -> StoreError {
        match self {
            // It may be read the next time.
            Self::Damage(path, fault @ Fault::Medium(_)) => failed("read", &path, io::Error::other(fault)),
            Self::Damage(path, fault) => StoreError::Damaged { path, source: Box::new(fault) },
            Self::Fatal(error) => error,
        }
    }
}

/// The files of a store.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) layout: &'a Layout,
    pub(super) keys: Option<&'a dyn KeySource>,
}

impl Files<'_> {
    /// Checks the root; `false` if there is none yet.
    pub(super) fn root(&self) -> Result<bool, StoreError> {
        let path = self.layout.root();
        let look = self.disk.entry_behind_links(path).map_err(|e| failed("look at", path, e))?;
        let Some(entry) = look else { return Ok(false) };
        if entry.kind != Kind::Directory {
            return Err(failed("read", path, io::ErrorKind::NotADirectory.into()));
        }
        permissions::check_root(self.disk, path, entry)?;
        Ok(true)
    }

    /// A pointer of the root; `None` if it is not there.
    pub(super) fn pointer(&self, name: &str) -> Result<Option<CertificateId>, Trouble> {
        let path = self.layout.file(name);
        let Some(text) = self.file(&path, Guard::Readable)? else { return Ok(None) };
        records::parse_pointer(&text).map(Some).map_err(|fault| damage(path, &fault))
    }

    /// The lines of `unconfirmed`.
    pub(super) fn takeovers(&self) -> Result<Vec<records::Takeover>, Trouble> {
        let path = self.layout.file(layout::UNCONFIRMED);
        let text = self.file(&path, Guard::Readable)?.unwrap_or_default();
        records::parse_takeovers(&text).map_err(|fault| damage(path, &fault))
    }

    /// The staged key; `None` if there is none.
    pub(super) fn staged_key(&self) -> Result<Option<PrivateKey>, Trouble> {
        match self.key(self.layout.root(), layout::STAGED) {
            Ok((_, key)) => Ok(Some(key)),
            Err(Trouble::Damage(_, Fault::Missing)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// An identity, whatever the time is.
    pub(super) fn identity(&self, id: &CertificateId) -> Result<Identity, Trouble> {
        let home = self.home(id)?;
        let path = home.join(layout::IDENTITY);
        let record: IdentityRecord = self.record(&path, Guard::Readable)?;
        let thing_name = record.thing_name.parse().map_err(|fault| damage(path, &fault))?;
        let credentials = self.credentials(&home)?;
        record.is_of(&credentials).map_err(|fault| damage(home.join(layout::CERTIFICATE), &fault))?;
        Ok(Identity::new(thing_name, id.clone(), credentials, record.device_configuration))
    }

    /// An issued certificate, whatever the time is.
    pub(super) fn issued(&self, id: &CertificateId) -> Result<IssuedCertificate, Trouble> {
        let home = self.home(id)?;
        let record: IssuedRecord = self.record(&home.join(layout::ISSUED), Guard::Secret)?;
        let credentials = self.credentials(&home)?;
        record.is_of(&credentials).map_err(|fault| damage(home.join(layout::CERTIFICATE), &fault))?;
        let token = OwnershipToken::new(&record.ownership_token);
        Ok(IssuedCertificate::new(id.clone(), credentials, token, record.issued_at()))
    }

    /// Says whether a certificate's time is over at `now`.
    pub(super) fn in_time(
        &self,
        id: &CertificateId,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<(), Trouble> {
        let over = credentials.not_after() < now && now >= SystemTime::UNIX_EPOCH + CLOCK_IS_SET;
        if !over {
            return Ok(());
        }
        let at = DateTime::<Utc>::from(credentials.not_after()).to_rfc3339_opts(SecondsFormat::Secs, true);
        Err(Trouble::Damage(self.layout.home(id).join(layout::CERTIFICATE), Fault::Expired(at)))
    }

    /// Whether a file of an identity's directory is there, in whatever state.
    pub(super) fn is_there(&self, id: &CertificateId, name: &str) -> Result<bool, StoreError> {
        let path = self.layout.home(id).join(name);
        let entry = self.disk.entry(&path).map_err(|e| failed("look at", &path, e))?;
        Ok(entry.is_some())
    }

    /// Certificate and key of an identity's directory.
    pub(super) fn credentials(&self, home: &Path) -> Result<Credentials, Trouble> {
        let certificate_path = home.join(layout::CERTIFICATE);
        let certificate = self.file_there(&certificate_path, Guard::Readable)?;
        let (key_path, key) = self.key(home, layout::KEY)?;
        Credentials::new(&certificate, key).map_err(|fault| {
            let of_key = matches!(fault, CredentialsError::Mismatch { .. });
            damage(if of_key { key_path } else { certificate_path }, &fault)
        })
    }

    /// A key, and the file that told of it.
    fn key(&self, directory: &Path, names: KeyFiles) -> Result<(PathBuf, PrivateKey), Trouble> {
        let path = directory.join(names.locator);
        if let Some(text) = self.file(&path, Guard::Readable)? {
            let locator = records::parse_locator(&text).map_err(|fault| damage(&path, &fault))?;
            let no_source =
                || Trouble::Damage(path.clone(), Fault::Key(format!("{locator} is not kept by this program")));
            let key = self.keys.ok_or_else(no_source)?.open(locator);
            let key = key.map_err(|fault| match fault {
                KeyError::Unavailable(_) => Trouble::Damage(path.clone(), Fault::Key(chain(&fault))),
                // A PIN that is wrong, say: to try it again at each start would lock the token.
                KeyError::Refused(_) => {
                    Trouble::Fatal(StoreError::Damaged { path: path.clone(), source: Box::new(fault) })
                }
                KeyError::Make { .. }
                | KeyError::NotKept { .. }
                | KeyError::NotFound { .. }
                | KeyError::Unusable { .. } => damage(&path, &fault),
            })?;
            return Ok((path, key));
        }
        let path = directory.join(names.pem);
        let text = self.file_there(&path, Guard::Secret)?;
        let key = PrivateKey::from_pem(&text).map_err(|fault| damage(&path, &fault))?;
        Ok((path, key))
    }

    /// The directory of one certificate, checked.
    pub(super) fn home(&self, id: &CertificateId) -> Result<PathBuf, Trouble> {
        let home = self.layout.home(id);
        for path in [&self.layout.identities(), &home] {
            let entry = self.entry(path, Kind::Directory)?.ok_or_else(|| missing(path))?;
            permissions::check_directory(self.disk, path, entry)?;
        }
        Ok(home)
    }

    fn record<T: Serialize + DeserializeOwned>(&self, path: &Path, guard: Guard) -> Result<T, Trouble> {
        records::parse(&self.file_there(path, guard)?).map_err(|fault| damage(path, &fault))
    }

    fn file_there(&self, path: &Path, guard: Guard) -> Result<Vec<u8>, Trouble> {
        self.file(path, guard)?.ok_or_else(|| missing(path))
    }

    /// The content of a file; `None` if it is not there.
    pub(super) fn file(&self, path: &Path, guard: Guard) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(entry) = self.entry(path, Kind::File)? else { return Ok(None) };
        permissions::check_file(self.disk, path, entry, guard)?;
        match again(|| self.disk.read(path, LIMIT + 1)) {
            Ok(content) if content.len() as u64 > LIMIT => {
                Err(Trouble::Damage(path.to_owned(), Fault::Unreadable(format!("more than {LIMIT} bytes"))))
            }
            Ok(content) => Ok(Some(content)),
            // Removed by another process since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unread(path, error)),
        }
    }

    fn entry(&self, path: &Path, expected: Kind) -> Result<Option<Entry>, Trouble> {
        match again(|| self.disk.entry(path)) {
            Ok(Some(entry)) if entry.kind != expected => {
                let fault = format!("{}, expected {expected}", entry.kind);
                Err(Trouble::Damage(path.to_owned(), Fault::Unreadable(fault)))
            }
            Ok(entry) => Ok(entry),
            Err(error) => Err(unread(path, error)),
        }
    }
}

/// A medium that has lost a file has not lost the others; any other failure is of this process or its surroundings.
fn unread(path: &Path, error: io::Error) -> Trouble {
    if is_of_the_medium(&error) {
        return Trouble::Damage(path.to_owned(), Fault::Medium(error.to_string()));
    }
    Trouble::Fatal(failed("read", path, error))
}

/// Gives a medium that fails a second chance.
fn again<T>(read: impl Fn() -> io::Result<T>) -> io::Result<T> {
    read().or_else(|error| if is_of_the_medium(&error) { read() } else { Err(error) })
}

fn is_of_the_medium(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    #[cfg(not(unix))]
    return false;
}

fn missing(path: &Path) -> Trouble {
    Trouble::Damage(path.to_owned(), Fault::Missing)
}

fn damage(path: impl Into<PathBuf>, fault: &dyn std::error::Error) -> Trouble {
    Trouble::Damage(path.into(), Fault::Unreadable(chain(fault)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
