//! The registry itself: look-ups in memory, changes through disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use super::disk_form::{self, StoredCertificate, StoredOwnership, StoredThing};
use super::memory::State;
use super::{CertificateKind, CertificateRecord, CertificateStatus, ThingRecord};
use crate::disk;
use crate::files::Layout;
use crate::id::sha256_hex;
use crate::{CertificateId, StartError};

/// How long an ownership token can be used (sheet, 1.4).
const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// What `RegisterThing` shall do with a pending certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Name and attributes of the Thing; a template may declare none.
    pub(crate) thing: Option<(String, BTreeMap<String, String>)>,
    pub(crate) status: CertificateStatus,
    pub(crate) policies: Vec<String>,
}

/// A pending certificate whose token was good: what the caller needs to plan its registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    pub(crate) certificate: CertificateId,
}

/// Why the registry did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("no such certificate")]
    Unknown,
    #[error("ownership token is unknown, used or expired")]
    Token,
    #[error("could not write {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Everything the sandbox knows of certificates and Things.
#[derive(Debug)]
pub(crate) struct Registry {
    layout: Layout,
    state: RwLock<State>,
    /// Held while a change is written, so that two changes of one file cannot cross. Never held
    /// across an await: changes run where blocking is allowed.
    writing: std::sync::Mutex<()>,
}

impl Registry {
    /// Reads the state files, and deletes the pending certificates whose hour is over at `now`, as
    /// AWS does (sheet, 1.4).
    pub(crate) fn open(layout: &Layout, now: SystemTime) -> Result<Self, StartError> {
        let mut state = State::default();
        let certificates = disk_form::read_all(
            &layout.certificates(),
            "a certificate of the sandbox's registry",
            StoredCertificate::record,
        )?;
        for (stored, record) in certificates {
            state.keep(stored, record);
        }
        for (id, path) in state.expired(&layout.certificates(), now) {
            disk::remove(&path).map_err(StartError::io("remove", &path))?;
            state.forget(&id);
        }
        let things = disk_form::read_all(&layout.things(), "a Thing of the sandbox's registry", StoredThing::record)?;
        state.things = things.into_iter().map(|(_, thing)| (thing.name.clone(), thing)).collect();
        Ok(Self { layout: layout.clone(), state: RwLock::new(state), writing: std::sync::Mutex::new(()) })
    }

    pub(crate) fn certificate(&self, id: &CertificateId) -> Option<CertificateRecord> {
        self.read().certificates.get(id).map(|(_, record)| record.clone())
    }

    pub(crate) fn certificates(&self) -> Vec<CertificateRecord> {
        self.read().certificates.values().map(|(_, record)| record.clone()).collect()
    }

    pub(crate) fn things(&self) -> Vec<ThingRecord> {
        self.read().things.values().cloned().collect()
    }

    /// Admits an active certificate of the sandbox's own unless it is known. Blocks.
    pub(crate) fn admit(
        &self,
        id: CertificateId,
        kind: CertificateKind,
        pem: &str,
        policy: &str,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        let record = CertificateRecord {
            id,
            kind,
            status: CertificateStatus::Active,
            policies: vec![policy.to_owned()],
            thing: None,
            issued_at: now,
        };
        let _writing = self.writing();
        match self.certificate(&record.id) {
            Some(_) => Ok(()),
            None => self.put_certificate(StoredCertificate::new(&record, pem, None), record),
        }
    }

    /// Keeps a fresh device certificate as pending, to be registered with `token` within the hour.
    /// Deletes those whose hour is over. Blocks.
    pub(crate) fn add_pending(
        &self,
        id: CertificateId,
        pem: &str,
        token: &str,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        let record = CertificateRecord {
            id,
            kind: CertificateKind::Device,
            status: CertificateStatus::PendingActivation,
            policies: Vec::new(),
            thing: None,
            issued_at: now,
        };
        let ownership = StoredOwnership {
            token_sha256: sha256_hex(token.as_bytes()),
            expires_at_unix: disk_form::to_unix(now + TOKEN_LIFE),
        };
        let _writing = self.writing();
        self.delete_expired(now);
        self.put_certificate(StoredCertificate::new(&record, pem, Some(ownership)), record)
    }

    /// A file that cannot be removed stays for the next time: its certificate can do nothing, and
    /// the device that asks for a new one is not to blame.
    fn delete_expired(&self, now: SystemTime) {
        let expired = self.read().expired(&self.layout.certificates(), now);
        for (id, path) in expired {
            match disk::remove(&path) {
                Ok(()) => self.change().forget(&id),
                Err(error) => tracing::warn!(
                    path = %path.display(),
                    error = &error as &dyn std::error::Error,
                    "could not remove an expired certificate"
                ),
            }
        }
    }

    /// The pending certificate that `token` proves the ownership of. The token stays usable until
    /// [`register`](Self::register) succeeds (sheet, 1.4).
    pub(crate) fn approve(&self, token: &str, now: SystemTime) -> Result<Approval, RegistryError> {
        let state = self.read();
        let hash = sha256_hex(token.as_bytes());
        let id = state.by_token.get(&hash).ok_or(RegistryError::Token)?;
        let (stored, _) = state.certificates.get(id).ok_or(RegistryError::Token)?;
        match stored.status == CertificateStatus::PendingActivation && !stored.is_expired(now) {
            true => Ok(Approval { certificate: id.clone() }),
            false => Err(RegistryError::Token),
        }
    }

    /// Uses up `token`: creates or extends the Thing, attaches certificate and policies, sets the
    /// status. Blocks.
    ///
    /// The Thing is written first: killed in between, the certificate is still pending and the
    /// device can send the same request again.
    pub(crate) fn register(
        &self,
        token: &str,
        registration: Registration,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        let _writing = self.writing();
        let Approval { certificate: id } = self.approve(token, now)?;
        let thing = registration.thing.map(|(name, attributes)| {
            let known = self.read().things.get(&name).cloned();
            let mut thing =
                known.unwrap_or(ThingRecord { name, attributes, certificates: Vec::new(), registered_at: now });
            if !thing.certificates.contains(&id) {
                thing.certificates.push(id.clone());
            }
            thing
        });
        let (mut stored, mut record) = self.read().certificates.get(&id).cloned().ok_or(RegistryError::Unknown)?;
        record.status = registration.status;
        record.policies = registration.policies;
        record.thing = thing.as_ref().map(|thing| thing.name.clone());
        stored.status = record.status;
        stored.policies.clone_from(&record.policies);
        stored.thing.clone_from(&record.thing);
        stored.ownership = None;
        if let Some(thing) = thing {
            self.put_thing(thing)?;
        }
        self.put_certificate(stored, record)
    }

    /// Sets the status of a certificate. Blocks.
    pub(crate) fn set_status(&self, id: &CertificateId, status: CertificateStatus) -> Result<(), RegistryError> {
        let _writing = self.writing();
        let known = self.read().certificates.get(id).cloned();
        let (mut stored, mut record) = known.ok_or(RegistryError::Unknown)?;
        stored.status = status;
        record.status = status;
        self.put_certificate(stored, record)
    }

    fn put_certificate(&self, stored: StoredCertificate, record: CertificateRecord) -> Result<(), RegistryError> {
        let path = stored.path(&self.layout.certificates());
        disk_form::write(&path, &stored).map_err(|source| RegistryError::Io { path, source })?;
        self.change().keep(stored, record);
        Ok(())
    }

    fn put_thing(&self, thing: ThingRecord) -> Result<(), RegistryError> {
        let stored = StoredThing::new(&thing);
        let path = stored.path(&self.layout.things());
        disk_form::write(&path, &stored).map_err(|source| RegistryError::Io { path, source })?;
        self.change().things.insert(thing.name.clone(), thing);
        Ok(())
    }

    // A panic while a lock is held leaves no half change behind: nothing in a change can panic.

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> std::sync::MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn registry(dir: &Path) -> Registry {
        Registry::open(&Layout::new(dir), NOW).unwrap()
    }

    fn id(text: &str) -> CertificateId {
        CertificateId::of_der(text.as_bytes())
    }

    fn as_thing(name: &str) -> Registration {
        Registration {
            thing: Some((name.to_owned(), BTreeMap::new())),
            status: CertificateStatus::Active,
            policies: vec!["aether-device".to_owned()],
        }
    }

    #[test]
    fn a_token_registers_once_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        registry(dir.path()).add_pending(id("a"), "pem", "token", NOW).unwrap();

        let reopened = registry(dir.path());
        assert_eq!(reopened.approve("token", NOW).unwrap().certificate, id("a"));
        reopened.register("token", as_thing("press"), NOW).unwrap();
        assert!(matches!(reopened.register("token", as_thing("press"), NOW), Err(RegistryError::Token)));

        let again = registry(dir.path());
        assert!(matches!(again.approve("token", NOW), Err(RegistryError::Token)));
        let certificate = again.certificate(&id("a")).unwrap();
        assert_eq!(certificate.status, CertificateStatus::Active);
        assert_eq!(certificate.thing.as_deref(), Some("press"));
        assert_eq!(again.things()[0].certificates, [id("a")]);
    }

    #[test]
    fn a_token_ends_with_its_hour() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path());
        registry.add_pending(id("a"), "pem", "token", NOW).unwrap();
        let last = NOW + Duration::from_secs(3599);
        assert!(registry.approve("token", last).is_ok());
        assert!(registry.approve("token", last + Duration::from_secs(1)).is_err());
        assert!(registry.approve("another", NOW).is_err());
    }

    fn file_of(dir: &Path, name: &str) -> PathBuf {
        Layout::new(dir).certificates().join(format!("{}.json", id(name)))
    }

    #[test]
    fn a_pending_certificate_is_deleted_after_its_hour_and_a_registered_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = registry(dir.path());
        let hour = NOW + Duration::from_secs(3600);
        for name in ["registered", "pending", "switched off"] {
            first.add_pending(id(name), "pem", name, NOW).unwrap();
        }
        first.register("registered", as_thing("press"), NOW).unwrap();
        first.set_status(&id("switched off"), CertificateStatus::Inactive).unwrap();
        first.add_pending(id("early"), "pem", "early", hour - Duration::from_secs(1)).unwrap();
        assert!(first.certificate(&id("pending")).is_some());

        first.add_pending(id("late"), "pem", "late", hour).unwrap();
        assert!(first.certificate(&id("pending")).is_none() && !file_of(dir.path(), "pending").exists());
        for name in ["registered", "switched off", "early", "late"] {
            assert!(first.certificate(&id(name)).is_some() && file_of(dir.path(), name).exists(), "{name}");
        }

        let next_day = Registry::open(&Layout::new(dir.path()), hour + Duration::from_secs(86_400)).unwrap();
        for (name, stays) in [("registered", true), ("switched off", true), ("early", false), ("late", false)] {
            assert_eq!(next_day.certificate(&id(name)).is_some(), stays, "{name}");
            assert_eq!(file_of(dir.path(), name).exists(), stays, "{name}");
        }
        assert_eq!(next_day.read().by_token.len(), 1, "the one switched off could be made pending again");
    }

    #[test]
    fn an_expired_file_somebody_removed_already_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path());
        registry.add_pending(id("a"), "pem", "a", NOW).unwrap();
        std::fs::remove_file(file_of(dir.path(), "a")).unwrap();
        registry.add_pending(id("b"), "pem", "b", NOW + Duration::from_secs(3600)).unwrap();
        assert!(registry.certificate(&id("a")).is_none());
    }

    #[test]
    fn the_token_itself_is_never_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        registry(dir.path()).add_pending(id("a"), "pem", "the-secret-token", NOW).unwrap();
        let path = Layout::new(dir.path()).certificates().join(format!("{}.json", id("a")));
        assert!(!std::fs::read_to_string(path).unwrap().contains("the-secret-token"));
    }

    #[test]
    fn a_second_certificate_joins_a_known_thing_and_the_first_stays() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path());
        for name in ["a", "b"] {
            registry.add_pending(id(name), "pem", name, NOW).unwrap();
            registry.register(name, as_thing("press"), NOW).unwrap();
        }
        assert_eq!(registry.things()[0].certificates, [id("a"), id("b")]);
    }

    #[test]
    fn a_damaged_state_file_is_named_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        registry(dir.path()).add_pending(id("a"), "pem", "token", NOW).unwrap();
        let path = Layout::new(dir.path()).certificates().join(format!("{}.json", id("a")));
        std::fs::write(&path, "{\"format\":1,").unwrap();
        let error = Registry::open(&Layout::new(dir.path()), NOW).unwrap_err();
        assert!(error.to_string().contains(&id("a").to_string()), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"format\":1,");
    }

    #[test]
    fn a_status_can_be_set_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = registry(dir.path());
        first.admit(id("a"), CertificateKind::Claim, "pem", "aether-claim", NOW).unwrap();
        first.set_status(&id("a"), CertificateStatus::Revoked).unwrap();
        first.admit(id("a"), CertificateKind::Claim, "pem", "aether-claim", NOW).unwrap();
        let status = registry(dir.path()).certificate(&id("a")).unwrap().status;
        assert_eq!(status, CertificateStatus::Revoked);
        assert!(matches!(first.set_status(&id("b"), CertificateStatus::Active), Err(RegistryError::Unknown)));
    }
}
