//! Tags of the resources that have them (API Reference, TagResource).

use std::collections::BTreeMap;

use super::{AccountError, BillingGroupName, Change, GroupName, PolicyName, Tables, TemplateName, ThingTypeName, Tx};
use crate::CaId;

/// Most tags of one resource (AWS General Reference, tagging).
const MAX_TAGS: usize = 50;

/// Tags by their keys.
pub(crate) type Tags = BTreeMap<String, String>;

/// A resource that can have tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tagged {
    Ca(CaId),
    Policy(PolicyName),
    Template(TemplateName),
    ThingType(ThingTypeName),
    Group(GroupName),
    BillingGroup(BillingGroupName),
}

impl Tables {
    /// The tags of a resource.
    pub(crate) fn tags(&self, of: &Tagged) -> Result<&Tags, AccountError> {
        Ok(match of {
            Tagged::Ca(id) => &self.ca(id)?.tags,
            Tagged::Policy(name) => &self.policy(name)?.tags,
            Tagged::Template(name) => &self.template(name)?.tags,
            Tagged::ThingType(name) => &self.thing_type(name)?.tags,
            Tagged::Group(name) => &self.group(name)?.tags,
            Tagged::BillingGroup(name) => &self.billing_group(name)?.tags,
        })
    }
}

impl Tx<'_> {
    /// Adds tags to a resource, over those of the same keys.
    pub(crate) fn add_tags(&mut self, of: &Tagged, tags: Tags) -> Result<(), AccountError> {
        for (key, value) in &tags {
            let (found, most) = (key.chars().count(), value.chars().count());
            if !(1..=128).contains(&found) || most > 256 {
                let words = format!(
                    "tag has a key of {found} and a value of {most} characters, expected 1 to 128 and 256 at most"
                );
                return Err(AccountError::Invalid(words));
            }
        }
        let mut becomes = self.tables.tags(of)?.clone();
        becomes.extend(tags);
        if becomes.len() > MAX_TAGS {
            let words = format!("resource would have {} tags, expected {MAX_TAGS} at most", becomes.len());
            return Err(AccountError::LimitExceeded(words));
        }
        self.set_tags(of, becomes)
    }

    /// Takes tags away from a resource. One that it does not have is as good.
    pub(crate) fn remove_tags(&mut self, of: &Tagged, keys: &[String]) -> Result<(), AccountError> {
        let mut becomes = self.tables.tags(of)?.clone();
        becomes.retain(|key, _| !keys.contains(key));
        self.set_tags(of, becomes)
    }

    fn set_tags(&mut self, of: &Tagged, tags: Tags) -> Result<(), AccountError> {
        if *self.tables.tags(of)? == tags {
            return Ok(());
        }
        let change = match of {
            Tagged::Ca(id) => {
                let mut row = (**self.tables.ca(id)?).clone();
                row.tags = tags;
                Change::Ca(Box::new(row))
            }
            Tagged::Policy(name) => {
                let mut row = (**self.tables.policy(name)?).clone();
                row.tags = tags;
                Change::Policy(Box::new(row))
            }
            Tagged::Template(name) => {
                let mut row = (**self.tables.template(name)?).clone();
                row.tags = tags;
                Change::Template(row)
            }
            Tagged::ThingType(name) => {
                let mut row = (**self.tables.thing_type(name)?).clone();
                row.tags = tags;
                Change::ThingType(row)
            }
            Tagged::Group(name) => {
                let mut row = (**self.tables.group(name)?).clone();
                row.tags = tags;
                Change::Group(row)
            }
            Tagged::BillingGroup(name) => {
                let mut row = (**self.tables.billing_group(name)?).clone();
                row.tags = tags;
                Change::BillingGroup(row)
            }
        };
        self.put(change)
    }
}
