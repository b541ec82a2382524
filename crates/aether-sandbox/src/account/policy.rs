//! Policies with their versions, and what they are attached to.

use std::collections::BTreeMap;
use std::sync::Arc;

use aether_iot_policy::{Document, Policy};
use serde::{Deserialize, Serialize};

use super::{AccountError, Change, GroupName, Millis, PolicyName, Resource, Tables, Tx};
use crate::CertificateId;

/// Most versions of one policy (sheet, 1.6).
const MAX_VERSIONS: usize = 5;

/// A policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyRow {
    pub(crate) name: PolicyName,
    /// By version id, which is never given twice.
    pub(crate) versions: BTreeMap<u32, PolicyVersion>,
    pub(crate) default_version: u32,
    pub(crate) next_version: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created: Millis,
    pub(crate) modified: Millis,
    /// The default version. Made when the row is put in place.
    #[serde(skip)]
    active: Option<ActivePolicy>,
}

/// The default version of a policy, ready to be asked. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct ActivePolicy {
    version: u32,
    policy: Arc<Policy>,
}

impl ActivePolicy {
    pub(crate) fn name(&self) -> &str {
        self.policy.name()
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }
}

impl AsRef<Policy> for ActivePolicy {
    fn as_ref(&self) -> &Policy {
        &self.policy
    }
}

/// One version of a policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyVersion {
    pub(crate) document: String,
    pub(crate) created: Millis,
}

/// What a policy can be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PolicyTarget {
    Certificate(CertificateId),
    Group(GroupName),
}

impl PolicyRow {
    pub(super) fn compile(&mut self) -> Result<(), String> {
        let policy = Arc::new(Policy::new(self.name.as_str(), read(self.default_document())?));
        self.active = Some(ActivePolicy { version: self.default_version, policy });
        Ok(())
    }

    /// Its default version, ready to be asked.
    pub(crate) fn active(&self) -> Option<&ActivePolicy> {
        self.active.as_ref()
    }

    pub(crate) fn default_document(&self) -> &str {
        self.versions.get(&self.default_version).map_or("", |version| &version.document)
    }

    pub(crate) fn version(&self, id: u32) -> Result<&PolicyVersion, AccountError> {
        let name = || format!("{}:{id}", self.name);
        self.versions.get(&id).ok_or_else(|| AccountError::not_found(Resource::PolicyVersion, name()))
    }
}

/// Reads a document, or says in words what is wrong with it.
fn read(document: &str) -> Result<Document, String> {
    Document::parse(document).map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

fn check_document(document: &str) -> Result<(), AccountError> {
    Document::check_size(document).map_err(|cause| AccountError::MalformedPolicy(cause.to_string()))?;
    read(document).map(drop).map_err(AccountError::MalformedPolicy)
}

impl Tables {
    /// The names of what a policy is attached to.
    pub(crate) fn targets_of(&self, name: &PolicyName) -> Vec<PolicyTarget> {
        let certificates = self.certificates.values().filter(|row| row.policies.contains(name));
        let groups = self.groups.values().filter(|row| row.policies.contains(name));
        certificates
            .map(|row| PolicyTarget::Certificate(row.id.clone()))
            .chain(groups.map(|row| PolicyTarget::Group(row.name.clone())))
            .collect()
    }
}

impl Tx<'_> {
    /// Creates a policy with its first version.
    pub(crate) fn create_policy(
        &mut self,
        name: PolicyName,
        document: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<(), AccountError> {
        if self.tables.policies.contains_key(&name) {
            return Err(AccountError::already_exists(Resource::Policy, &name));
        }
        check_document(document)?;
        let version = PolicyVersion { document: document.to_owned(), created: self.now };
        self.put(Change::Policy(Box::new(PolicyRow {
            name,
            versions: BTreeMap::from([(1, version)]),
            default_version: 1,
            next_version: 2,
            tags,
            created: self.now,
            modified: self.now,
            active: None,
        })))
    }

    /// Adds a version, and makes it the default one if asked to.
    pub(crate) fn create_policy_version(
        &mut self,
        name: &PolicyName,
        document: &str,
        set_default: bool,
    ) -> Result<u32, AccountError> {
        let mut row = (**self.tables.policy(name)?).clone();
        check_document(document)?;
        if row.versions.len() >= MAX_VERSIONS {
            let name = name.to_string();
            return Err(AccountError::VersionsLimit { what: Resource::Policy, name, limit: MAX_VERSIONS });
        }
        let id = row.next_version;
        row.next_version = row.next_version.saturating_add(1);
        row.versions.insert(id, PolicyVersion { document: document.to_owned(), created: self.now });
        if set_default {
            row.default_version = id;
        }
        row.modified = self.now;
        self.put(Change::Policy(Box::new(row)))?;
        Ok(id)
    }

    pub(crate) fn set_default_policy_version(&mut self, name: &PolicyName, id: u32) -> Result<(), AccountError> {
        let mut row = (**self.tables.policy(name)?).clone();
        row.version(id)?;
        row.default_version = id;
        row.modified = self.now;
        self.put(Change::Policy(Box::new(row)))
    }

    /// Deletes a version that is not the default one.
    pub(crate) fn delete_policy_version(&mut self, name: &PolicyName, id: u32) -> Result<(), AccountError> {
        let mut row = (**self.tables.policy(name)?).clone();
        row.version(id)?;
        if row.default_version == id {
            let words = format!("version {id} of policy {name} is the default one; it goes with the policy");
            return Err(AccountError::DeleteConflict(words));
        }
        row.versions.remove(&id);
        row.modified = self.now;
        self.put(Change::Policy(Box::new(row)))
    }

    /// Deletes a policy that is attached to nothing and has no version besides the default one.
    pub(crate) fn delete_policy(&mut self, name: &PolicyName) -> Result<(), AccountError> {
        let row = self.tables.policy(name)?;
        if row.versions.len() > 1 {
            let words = format!("policy {name} has versions besides the default one; delete them first");
            return Err(AccountError::DeleteConflict(words));
        }
        if !self.tables.targets_of(name).is_empty() {
            let words = format!("policy {name} is attached; detach it before deleting it");
            return Err(AccountError::DeleteConflict(words));
        }
        self.put(Change::PolicyGone(name.clone()))
    }

    /// Attaches a policy. Attaching it again changes nothing.
    pub(crate) fn attach_policy(&mut self, name: &PolicyName, target: &PolicyTarget) -> Result<(), AccountError> {
        self.tables.policy(name)?;
        match target {
            PolicyTarget::Certificate(id) => {
                let row = self.tables.certificate(id)?;
                if row.policies.contains(name) {
                    return Ok(());
                }
                Self::check_room_for_policy(row)?;
                self.edit_certificate(id, |row| row.policies.push(name.clone()))
            }
            PolicyTarget::Group(group) => match self.tables.group(group)?.policies.contains(name) {
                true => Ok(()),
                false => self.edit_group(group, |row| row.policies.push(name.clone())),
            },
        }
    }

    /// Detaches a policy. One that is not attached is as good.
    pub(crate) fn detach_policy(&mut self, name: &PolicyName, target: &PolicyTarget) -> Result<(), AccountError> {
        self.tables.policy(name)?;
        match target {
            PolicyTarget::Certificate(id) => {
                self.edit_certificate(id, |row| row.policies.retain(|attached| attached != name))
            }
            PolicyTarget::Group(group) => {
                self.edit_group(group, |row| row.policies.retain(|attached| attached != name))
            }
        }
    }
}
