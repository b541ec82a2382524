//! What the account says of a certificate at this moment: its status, and every policy that counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Millis, Tables, ThingRow};
use crate::policy::Policy;
use crate::{CertificateId, CertificateKind, CertificateStatus};

/// A certificate's standing for one client id.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    pub(crate) status: CertificateStatus,
    pub(crate) kind: CertificateKind,
    /// Policies of the certificate, then those of the groups of its Thing and of the groups above.
    pub(crate) policies: Vec<Arc<Policy>>,
    /// The Thing behind the connection, if the rules tell one.
    pub(crate) thing: Option<PrincipalThing>,
}

/// What policies may ask of a Thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrincipalThing {
    pub(crate) name: String,
    pub(crate) thing_type: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl From<&ThingRow> for PrincipalThing {
    fn from(row: &ThingRow) -> Self {
        Self {
            name: row.name.to_string(),
            thing_type: row.thing_type.as_ref().map(ToString::to_string),
            attributes: row.attributes.clone(),
        }
    }
}

impl Tables {
    /// The standing of a certificate that connects as `client_id`; `None` when there is no such
    /// certificate, or none any more.
    pub(crate) fn effective(&self, certificate: &CertificateId, client_id: &str, now: Millis) -> Option<Effective> {
        let row = self.certificates.get(certificate)?;
        if row.end().is_some_and(|end| end <= now) {
            return None;
        }
        let thing = self.thing_of(certificate, client_id);
        let mut names = row.policies.iter().collect::<Vec<_>>();
        for group in thing.into_iter().flat_map(|thing| &thing.groups) {
            for ancestor in self.with_ancestors(group) {
                let fresh: Vec<_> = ancestor.policies.iter().filter(|name| !names.contains(name)).collect();
                names.extend(fresh);
            }
        }
        let policies = names.into_iter().filter_map(|name| self.policies.get(name)).filter_map(|row| row.compiled());
        Some(Effective {
            status: row.status,
            kind: row.kind,
            policies: policies.cloned().collect(),
            thing: thing.map(PrincipalThing::from),
        })
    }

    /// The Thing of a connection: the one the certificate belongs to exclusively, or the attached
    /// one whose name is the client id (sheet, 3.4, rule 1).
    pub(crate) fn thing_of(&self, certificate: &CertificateId, client_id: &str) -> Option<&ThingRow> {
        let row = self.certificates.get(certificate)?;
        let attached = || row.things.iter().filter_map(|name| self.things.get(name)).map(|thing| &**thing);
        let exclusive = attached()
            .find(|thing| thing.principals.iter().any(|link| link.certificate == *certificate && link.exclusive));
        exclusive.or_else(|| attached().find(|thing| thing.name.as_str() == client_id))
    }
}
