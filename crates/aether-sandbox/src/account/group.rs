//! Thing groups and billing groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AccountError, BillingGroupName, Change, GroupName, Millis, PolicyName, Resource, Tables, ThingName, Tx};
use crate::random;

/// Most levels of groups, and most groups of one Thing that have no ancestor in common (AWS General
/// Reference, Thing group quotas).
const MAX_DEPTH: usize = 7;

/// A static Thing group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupRow {
    pub(crate) name: GroupName,
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<GroupName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) policies: Vec<PolicyName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) version: u64,
    pub(crate) created: Millis,
}

/// A billing group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BillingGroupRow {
    pub(crate) name: BillingGroupName,
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) version: u64,
    pub(crate) created: Millis,
}

impl Tables {
    /// A group and those above it, nearest first.
    pub(crate) fn with_ancestors(&self, name: &GroupName) -> Vec<&GroupRow> {
        let mut chain = Vec::new();
        let mut next = Some(name);
        while let Some(row) = next.and_then(|name| self.groups.get(name))
            && chain.len() < MAX_DEPTH
        {
            chain.push(&**row);
            next = row.parent.as_ref();
        }
        chain
    }
}

fn check_version(name: &BillingGroupName, found: u64, expected: Option<u64>) -> Result<(), AccountError> {
    match expected.filter(|expected| *expected != found) {
        Some(expected) => Err(AccountError::VersionConflict { name: name.to_string(), expected, found }),
        None => Ok(()),
    }
}

fn new_id() -> Result<String, AccountError> {
    random::uuid().map_err(|source| AccountError::Io { path: "the system's random numbers".into(), source })
}

impl Tx<'_> {
    /// Creates a Thing group. Creating it again with the same content changes nothing.
    pub(crate) fn create_group(
        &mut self,
        name: GroupName,
        parent: Option<GroupName>,
        description: Option<String>,
        attributes: BTreeMap<String, String>,
    ) -> Result<(), AccountError> {
        if let Some(known) = self.tables.groups.get(&name) {
            return match known.parent == parent && known.description == description && known.attributes == attributes {
                true => Ok(()),
                false => Err(AccountError::already_exists(Resource::ThingGroup, &name)),
            };
        }
        if let Some(parent) = &parent {
            self.tables.group(parent)?;
            if self.tables.with_ancestors(parent).len() >= MAX_DEPTH {
                let words = format!("Thing group {parent} is at level {MAX_DEPTH}, the lowest there may be");
                return Err(AccountError::Invalid(words));
            }
        }
        let row = GroupRow {
            name,
            id: new_id()?,
            parent,
            description,
            attributes,
            policies: Vec::new(),
            tags: BTreeMap::new(),
            version: 1,
            created: self.now,
        };
        self.put(Change::Group(row))
    }

    pub(super) fn edit_group(
        &mut self,
        name: &GroupName,
        edit: impl FnOnce(&mut GroupRow),
    ) -> Result<(), AccountError> {
        let mut row = (**self.tables.group(name)?).clone();
        edit(&mut row);
        row.version = row.version.saturating_add(1);
        self.put(Change::Group(row))
    }

    /// Replaces description and attributes of a group.
    pub(crate) fn update_group(
        &mut self,
        name: &GroupName,
        description: Option<String>,
        attributes: BTreeMap<String, String>,
        expected_version: Option<u64>,
    ) -> Result<u64, AccountError> {
        let found = self.tables.group(name)?.version;
        if let Some(expected) = expected_version.filter(|expected| *expected != found) {
            return Err(AccountError::VersionConflict { name: name.to_string(), expected, found });
        }
        self.edit_group(name, |row| {
            row.description = description;
            row.attributes = attributes;
        })?;
        Ok(found.saturating_add(1))
    }

    /// Deletes a group without children. Its Things leave it.
    pub(crate) fn delete_group(&mut self, name: &GroupName, expected_version: Option<u64>) -> Result<(), AccountError> {
        // Deleting what is not there succeeds (API Reference, DeleteThingGroup).
        let Ok(row) = self.tables.group(name) else { return Ok(()) };
        if let Some(expected) = expected_version.filter(|expected| *expected != row.version) {
            return Err(AccountError::VersionConflict { name: name.to_string(), expected, found: row.version });
        }
        if self.tables.groups.values().any(|group| group.parent.as_ref() == Some(name)) {
            let words = format!("Thing group {name} has child groups; delete them first");
            return Err(AccountError::Invalid(words));
        }
        let members: Vec<ThingName> = self.members(name);
        for thing in members {
            self.edit_thing(&thing, |row| row.groups.retain(|group| group != name))?;
        }
        self.put(Change::GroupGone(name.clone()))
    }

    fn members(&self, name: &GroupName) -> Vec<ThingName> {
        let things = self.tables.things.values();
        things.filter(|thing| thing.groups.contains(name)).map(|thing| thing.name.clone()).collect()
    }

    /// Creates a billing group. Creating it again with the same content changes nothing.
    pub(crate) fn create_billing_group(
        &mut self,
        name: BillingGroupName,
        description: Option<String>,
    ) -> Result<(), AccountError> {
        if let Some(known) = self.tables.billing_groups.get(&name) {
            return match known.description == description {
                true => Ok(()),
                false => Err(AccountError::already_exists(Resource::BillingGroup, &name)),
            };
        }
        let row =
            BillingGroupRow { name, id: new_id()?, description, tags: BTreeMap::new(), version: 1, created: self.now };
        self.put(Change::BillingGroup(row))
    }

    /// Replaces the description of a billing group, if its version is the expected one.
    pub(crate) fn update_billing_group(
        &mut self,
        name: &BillingGroupName,
        description: Option<String>,
        expected_version: Option<u64>,
    ) -> Result<u64, AccountError> {
        let mut row = (**self.tables.billing_group(name)?).clone();
        check_version(name, row.version, expected_version)?;
        row.description = description;
        row.version = row.version.saturating_add(1);
        let version = row.version;
        self.put(Change::BillingGroup(row))?;
        Ok(version)
    }

    /// Deletes a billing group. Its Things leave it.
    pub(crate) fn delete_billing_group(
        &mut self,
        name: &BillingGroupName,
        expected_version: Option<u64>,
    ) -> Result<(), AccountError> {
        let Ok(row) = self.tables.billing_group(name) else { return Ok(()) };
        check_version(name, row.version, expected_version)?;
        let things = self.tables.things.values();
        let members: Vec<ThingName> =
            things.filter(|thing| thing.billing_group.as_ref() == Some(name)).map(|thing| thing.name.clone()).collect();
        for thing in members {
            self.edit_thing(&thing, |row| row.billing_group = None)?;
        }
        self.put(Change::BillingGroupGone(name.clone()))
    }
}
