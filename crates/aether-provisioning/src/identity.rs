//! What provisioning ends with, and what it has on the way.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use aether_mqtt::Credentials;

use crate::{CertificateId, ThingName};

/// A device identity: the Thing's name, its certificate and key, and what the template configured it with.
#[derive(Clone, Debug)]
pub struct Identity {
    thing_name: ThingName,
    certificate_id: CertificateId,
    credentials: Credentials,
    device_configuration: BTreeMap<String, String>,
}

impl Identity {
    /// An identity of its parts.
    #[must_use]
    pub fn new(
        thing_name: ThingName,
        certificate_id: CertificateId,
        credentials: Credentials,
        device_configuration: BTreeMap<String, String>,
    ) -> Self {
        Self { thing_name, certificate_id, credentials, device_configuration }
    }

    /// The name of the Thing.
    #[must_use]
    pub fn thing_name(&self) -> &ThingName {
        &self.thing_name
    }

    /// The service's name for the certificate.
    #[must_use]
    pub fn certificate_id(&self) -> &CertificateId {
        &self.certificate_id
    }

    /// The certificate and key to connect with.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What the template's `DeviceConfiguration` says; empty if it says nothing.
    #[must_use]
    pub fn device_configuration(&self) -> &BTreeMap<String, String> {
        &self.device_configuration
    }
}

/// The token that proves to RegisterThing who was issued a certificate. **Secret**: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnershipToken(Box<str>);

impl OwnershipToken {
    /// A token as the service sent it.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// The token itself, for the RegisterThing request and for an identity store.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OwnershipToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnershipToken(..)")
    }
}

/// A certificate that was issued but not yet registered.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    certificate_id: CertificateId,
    credentials: Credentials,
    token: OwnershipToken,
    issued_at: SystemTime,
}

impl IssuedCertificate {
    /// An issued certificate of its parts. `issued_at` is when it was asked for: the token's hour begins after it.
    #[must_use]
    pub fn new(
        certificate_id: CertificateId,
        credentials: Credentials,
        token: OwnershipToken,
        issued_at: SystemTime,
    ) -> Self {
        Self { certificate_id, credentials, token, issued_at }
    }

    /// The service's name for the certificate.
    #[must_use]
    pub fn certificate_id(&self) -> &CertificateId {
        &self.certificate_id
    }

    /// The certificate and its key.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The token RegisterThing asks for.
    #[must_use]
    pub fn token(&self) -> &OwnershipToken {
        &self.token
    }

    /// When it was asked for.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// The identity this certificate becomes once it is registered.
    #[must_use]
    pub fn registered(self, thing_name: ThingName, device_configuration: BTreeMap<String, String>) -> Identity {
        Identity::new(thing_name, self.certificate_id, self.credentials, device_configuration)
    }
}
