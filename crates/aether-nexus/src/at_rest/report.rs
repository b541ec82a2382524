//! Who a device is, was and is about to be, by what is stored.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use aether_mqtt::{Credentials, PrivateKey};
use aether_provisioning::{CertificateId, Contents, DirectoryStore, Identity, Staged};

/// The identities in a state directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredIdentities {
    /// The one in use.
    pub active: Option<StoredIdentity>,
    /// The one before it.
    pub previous: Option<StoredIdentity>,
    /// The one that is being made.
    pub staged: Option<StoredIdentity>,
    /// What is damaged and was passed over, worst first: a sentence each, with its path.
    pub findings: Vec<String>,
}

/// One identity, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredIdentity {
    /// What it is to the device.
    pub state: IdentityState,
    /// The name of the Thing, once it is registered.
    pub thing_name: Option<String>,
    /// The certificate, once it is issued.
    pub certificate: Option<StoredCertificate>,
    /// The private key.
    pub key: StoredKey,
    /// What the provisioning template's `DeviceConfiguration` says; empty if it says nothing.
    pub device_configuration: BTreeMap<String, String>,
}

/// A certificate, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredCertificate {
    /// The service's name for it.
    pub id: String,
    /// When it starts to be valid.
    pub not_before: SystemTime,
    /// When it ends to be valid.
    pub not_after: SystemTime,
    /// Its file, in PEM.
    pub file: PathBuf,
}

impl StoredCertificate {
    /// Whole days until it expires; 0 on its last day and afterwards.
    pub fn days_left(&self, now: SystemTime) -> u64 {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        self.not_after.duration_since(now).unwrap_or_default().as_secs() / DAY.as_secs()
    }
}

/// Which key it is and where, and nothing of the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredKey {
    /// Its kind, such as "RSA" or "ECDSA P-256".
    pub kind: String,
    /// Its file, or where it stays, such as an RFC 7512 URI.
    pub location: String,
}

/// What an identity is to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityState {
    /// In use.
    Active,
    /// In use since a rotation, and no event was acknowledged under it yet.
    Unconfirmed,
    /// In use before.
    Previous,
    /// Being made: the key is there, the certificate is not.
    StagedKey,
    /// Being made: the certificate is issued, the Thing not registered with it.
    StagedCertificate,
    /// Being made: registered, and has not connected yet.
    StagedIdentity,
}

impl IdentityState {
    /// The stable name, for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unconfirmed => "unconfirmed",
            Self::Previous => "previous",
            Self::StagedKey => "staged-key",
            Self::StagedCertificate => "staged-certificate",
            Self::StagedIdentity => "staged-identity",
        }
    }
}

impl fmt::Display for IdentityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StoredIdentities {
    pub(super) fn of(contents: Contents, store: &DirectoryStore) -> Self {
        let in_use = if contents.unconfirmed { IdentityState::Unconfirmed } else { IdentityState::Active };
        let whole = |state| move |identity: &Identity| StoredIdentity::of(state, identity, store);
        let staged = match &contents.staged {
            Staged::Nothing => None,
            Staged::Key(key) => Some(StoredIdentity {
                state: IdentityState::StagedKey,
                thing_name: None,
                certificate: None,
                key: StoredKey::of(key, store.staged_key_file()),
                device_configuration: BTreeMap::new(),
            }),
            Staged::Issued(issued) => {
                let (id, credentials) = (issued.certificate_id(), issued.credentials());
                Some(StoredIdentity::issued(IdentityState::StagedCertificate, id, credentials, store))
            }
            Staged::Registered(identity) => Some(whole(IdentityState::StagedIdentity)(identity)),
        };
        Self {
            active: contents.active.as_ref().map(whole(in_use)),
            previous: contents.previous.as_ref().map(whole(IdentityState::Previous)),
            staged,
            findings: contents.findings.iter().map(ToString::to_string).collect(),
        }
    }
}

impl StoredIdentity {
    fn of(state: IdentityState, identity: &Identity, store: &DirectoryStore) -> Self {
        Self {
            thing_name: Some(identity.thing_name().to_string()),
            device_configuration: identity.device_configuration().clone(),
            ..Self::issued(state, identity.certificate_id(), identity.credentials(), store)
        }
    }

    fn issued(state: IdentityState, id: &CertificateId, credentials: &Credentials, store: &DirectoryStore) -> Self {
        let files = store.files_of(id);
        let certificate = StoredCertificate {
            id: id.to_string(),
            not_before: credentials.not_before(),
            not_after: credentials.not_after(),
            file: files.certificate,
        };
        Self {
            state,
            thing_name: None,
            certificate: Some(certificate),
            key: StoredKey::of(credentials.private_key(), files.private_key),
            device_configuration: BTreeMap::new(),
        }
    }
}

impl StoredKey {
    fn of(key: &PrivateKey, file: PathBuf) -> Self {
        let location = key.locator().map_or_else(|| file.display().to_string(), str::to_owned);
        Self { kind: key.algorithm().to_string(), location }
    }
}
