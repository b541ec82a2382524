//! Tests of a whole sandbox that reach into its registry: what there is no file for.

mod explain;
mod jitr;
mod policies;

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};

use crate::account::{
    AccountError, CertificateMode, GroupName, NewCertificate, NewThing, PolicyName, PolicyTarget, ThingName, Tx,
};
use crate::pki::to_pem;
use crate::{CertificateId, CertificateKind, CertificateStatus, Credentials, Observer, ObserverError, Sandbox};

/// Everything in the account `123456789012`, Region `eu-west-1`, is allowed.
const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;

/// A client certificate with its key, registered and active.
struct Registered {
    id: CertificateId,
    certificate: PathBuf,
    key: PathBuf,
    credentials: Credentials,
}

impl Registered {
    /// Makes one that signed itself, as `RegisterCertificateWithoutCA` takes it.
    fn new(sandbox: &Sandbox, common_name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let id = CertificateId::of_der(made.der());
        let dir = sandbox.files().dir();
        let (certificate, key_file) = (dir.join(format!("{id}.pem")), dir.join(format!("{id}.key")));
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let new = NewCertificate {
            kind: CertificateKind::Device,
            mode: CertificateMode::Default,
            ..NewCertificate::issued(id.clone(), to_pem(made.der()), CertificateStatus::Active)
        };
        sandbox.account.change(|tx| tx.create_certificate(new)).unwrap();
        let credentials = Credentials::read(sandbox.files().ca(), &certificate, &key_file).unwrap();
        Self { id, certificate, key: key_file, credentials }
    }

    /// Attaches policies given by name and document.
    fn with_policies(self, sandbox: &Sandbox, policies: &[(&str, &str)]) -> Self {
        change(sandbox, |tx| {
            for (name, document) in policies {
                attach(tx, name, document, &PolicyTarget::Certificate(self.id.clone()))?;
            }
            Ok(())
        });
        self
    }

    /// Attaches a Thing, made if need be.
    fn with_thing(self, sandbox: &Sandbox, name: &str, exclusive: bool) -> Self {
        change(sandbox, |tx| {
            let name = name.parse::<ThingName>()?;
            if !tx.tables.things.contains_key(&name) {
                let attributes = [("site".to_owned(), "hall-b".to_owned())].into();
                tx.create_thing(NewThing { name: name.clone(), attributes, thing_type: None, billing_group: None })?;
            }
            tx.attach_principal(&name, &self.id, exclusive)
        });
        self
    }

    async fn connect(&self, sandbox: &Sandbox, client_id: &str) -> Result<Observer, ObserverError> {
        Observer::connect(sandbox.local_addr(), &self.credentials, client_id).await
    }
}

/// Changes the registry, as the control plane would.
fn change<T>(sandbox: &Sandbox, make: impl FnOnce(&mut Tx<'_>) -> Result<T, AccountError>) -> T {
    Arc::clone(&sandbox.account).change(make).unwrap()
}

/// Creates a policy unless it exists, and attaches it.
fn attach(tx: &mut Tx<'_>, name: &str, document: &str, target: &PolicyTarget) -> Result<(), AccountError> {
    let name: PolicyName = name.parse()?;
    if !tx.tables.policies.contains_key(&name) {
        tx.create_policy(name.clone(), document, std::collections::BTreeMap::new())?;
    }
    tx.attach_policy(&name, target)
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}
