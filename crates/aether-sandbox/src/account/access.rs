//! What the account says of a certificate at this moment: its status, and every policy that counts.

use aether_iot_policy::{Attachment, Thing};

use super::{ActivePolicy, Millis, PolicyName, Tables, ThingRow};
use crate::{CertificateId, CertificateStatus};

/// A certificate's standing for one client id.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    pub(crate) status: CertificateStatus,
    /// Policies of the certificate, then those of the groups of its Thing and of the groups above.
    pub(crate) policies: Vec<ActivePolicy>,
    /// The Thing policies can ask about, and how the certificate is attached to it. Whether its
    /// variables resolve is for [`aether_iot_policy::Context`] to say.
    pub(crate) thing: Option<(Thing, Attachment)>,
}

impl From<&ThingRow> for Thing {
    fn from(row: &ThingRow) -> Self {
        let named = Self::new(row.name.as_str());
        let typed = match &row.thing_type {
            Some(thing_type) => named.with_type(thing_type.as_str()),
            None => named,
        };
        row.attributes.iter().fold(typed, |thing, (name, value)| thing.with_attribute(name, value))
    }
}

impl ThingRow {
    fn is_exclusive_to(&self, certificate: &CertificateId) -> bool {
        self.principals.iter().any(|link| link.certificate == *certificate && link.exclusive)
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
        let names = self.policies_for(&row.policies, self.thing_of(certificate, client_id));
        let policies = names.into_iter().filter_map(|name| self.policies.get(name)).filter_map(|row| row.active());
        Some(Effective {
            status: row.status,
            policies: policies.cloned().collect(),
            thing: self.related_thing(certificate, client_id),
        })
    }

    /// `own`, then the policies of the Thing's groups and of the groups above, each once.
    fn policies_for<'a>(&'a self, own: &'a [PolicyName], thing: Option<&'a ThingRow>) -> Vec<&'a PolicyName> {
        let mut names: Vec<_> = own.iter().collect();
        for group in thing.into_iter().flat_map(|thing| &thing.groups) {
            for ancestor in self.with_ancestors(group) {
                for name in &ancestor.policies {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
        names
    }

    /// The Thing of a connection: the one the certificate belongs to exclusively, or the attached
    /// one whose name is the client id (sheet, 3.4, rule 1).
    pub(crate) fn thing_of(&self, certificate: &CertificateId, client_id: &str) -> Option<&ThingRow> {
        let exclusive = self.attached_to(certificate).find(|thing| thing.is_exclusive_to(certificate));
        exclusive.or_else(|| self.attached_to(certificate).find(|thing| thing.name.as_str() == client_id))
    }

    /// The Thing of a connection or, where it has none, the one that shows best why not: a Thing the
    /// certificate is attached to under another client id, or one of that name it is not attached to.
    fn related_thing(&self, certificate: &CertificateId, client_id: &str) -> Option<(Thing, Attachment)> {
        let attached = self.thing_of(certificate, client_id).or_else(|| self.attached_to(certificate).next());
        if let Some(row) = attached {
            let exclusive = row.is_exclusive_to(certificate);
            return Some((row.into(), if exclusive { Attachment::Exclusive } else { Attachment::Shared }));
        }
        let row = client_id.parse().ok().and_then(|name| self.things.get(&name))?;
        Some((Thing::from(&**row), Attachment::None))
    }

    fn attached_to(&self, certificate: &CertificateId) -> impl Iterator<Item = &ThingRow> {
        let things = self.certificates.get(certificate).into_iter().flat_map(|row| &row.things);
        things.filter_map(|name| self.things.get(name)).map(|thing| &**thing)
    }
}
