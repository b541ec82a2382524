//! Things, and the certificates attached to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AccountError, BillingGroupName, Change, GroupName, Millis, Resource, ThingName, ThingTypeName, Tx};
use crate::{CertificateId, random};

/// Most attributes of a Thing without a type, and with one (sheet, 1.6).
const MAX_ATTRIBUTES: (usize, usize) = (3, 50);

/// A Thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThingRow {
    pub(crate) name: ThingName,
    /// Unique also among Things of the same name that were deleted.
    pub(crate) id: String,
    pub(crate) attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) thing_type: Option<ThingTypeName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<GroupName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) billing_group: Option<BillingGroupName>,
    /// Attached certificates, in the order they were attached.
    pub(crate) principals: Vec<PrincipalLink>,
    pub(crate) version: u64,
    pub(crate) created: Millis,
}

/// A certificate attached to a Thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrincipalLink {
    pub(crate) certificate: CertificateId,
    /// Whether the certificate is this Thing's alone, so that it tells the Thing whatever the client
    /// id (sheet, 3.4, rule 1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) exclusive: bool,
}

/// What a new Thing is to be.
#[derive(Clone, Debug)]
pub(crate) struct NewThing {
    pub(crate) name: ThingName,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) thing_type: Option<ThingTypeName>,
    pub(crate) billing_group: Option<BillingGroupName>,
}

/// Checks names, values and number of attributes (sheet, 1.6).
fn check_attributes(attributes: &BTreeMap<String, String>, typed: bool) -> Result<(), AccountError> {
    let most = if typed { MAX_ATTRIBUTES.1 } else { MAX_ATTRIBUTES.0 };
    if attributes.len() > most {
        let words = format!("Thing has {} attributes, expected {most} at most", attributes.len());
        return Err(AccountError::Invalid(words));
    }
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.,@/:#-".contains(&byte);
    let in_value = |byte: u8| byte.is_ascii_alphanumeric() || b"_.,@/:#=[]-".contains(&byte);
    for (name, value) in attributes {
        if !(1..=128).contains(&name.len()) || !name.bytes().all(in_name) {
            let words = format!("attribute name is {name:?}, expected 1 to 128 characters of a-z A-Z 0-9 _.,@/:#-");
            return Err(AccountError::Invalid(words));
        }
        if value.len() > 800 || !value.bytes().all(in_value) {
            let words =
                format!("value of attribute {name:?} is not of up to 800 characters of a-z A-Z 0-9 _.,@/:#=[]-");
            return Err(AccountError::Invalid(words));
        }
    }
    Ok(())
}

impl Tx<'_> {
    /// Creates a Thing. Creating it again with the same attributes and type changes nothing.
    pub(crate) fn create_thing(&mut self, new: NewThing) -> Result<(), AccountError> {
        if let Some(known) = self.tables.things.get(&new.name) {
            return match known.attributes == new.attributes
                && known.thing_type == new.thing_type
                && known.billing_group == new.billing_group
            {
                true => Ok(()),
                false => Err(AccountError::already_exists(Resource::Thing, &new.name)),
            };
        }
        self.check_thing_type(new.thing_type.as_ref())?;
        check_attributes(&new.attributes, new.thing_type.is_some())?;
        if let Some(group) = &new.billing_group {
            self.tables.billing_group(group)?;
        }
        let no_bytes = |source| AccountError::Io { path: "the system's random numbers".into(), source };
        let id = random::uuid().map_err(no_bytes)?;
        self.put(Change::Thing(Box::new(ThingRow {
            name: new.name,
            id,
            attributes: new.attributes,
            thing_type: new.thing_type,
            groups: Vec::new(),
            billing_group: new.billing_group,
            principals: Vec::new(),
            version: 1,
            created: self.now,
        })))
    }

    fn check_thing_type(&self, name: Option<&ThingTypeName>) -> Result<(), AccountError> {
        let Some(name) = name else { return Ok(()) };
        match self.tables.thing_type(name)?.deprecated {
            None => Ok(()),
            Some(_) => Err(AccountError::Invalid(format!("Thing type {name} is deprecated"))),
        }
    }

    pub(super) fn edit_thing(
        &mut self,
        name: &ThingName,
        edit: impl FnOnce(&mut ThingRow),
    ) -> Result<(), AccountError> {
        let mut row = (**self.tables.thing(name)?).clone();
        edit(&mut row);
        row.version = row.version.saturating_add(1);
        self.put(Change::Thing(Box::new(row)))
    }

    /// Replaces attributes and type of a Thing, if its version is the expected one.
    pub(crate) fn update_thing(
        &mut self,
        name: &ThingName,
        attributes: BTreeMap<String, String>,
        thing_type: Option<ThingTypeName>,
        expected_version: Option<u64>,
    ) -> Result<(), AccountError> {
        let row = Arc::clone(self.tables.thing(name)?);
        if let Some(expected) = expected_version.filter(|expected| *expected != row.version) {
            return Err(AccountError::VersionConflict { name: name.to_string(), expected, found: row.version });
        }
        if thing_type != row.thing_type {
            self.check_thing_type(thing_type.as_ref())?;
        }
        check_attributes(&attributes, thing_type.is_some())?;
        self.edit_thing(name, |row| {
            row.attributes = attributes;
            row.thing_type = thing_type;
        })
    }

    /// Puts a Thing into groups: these and no others.
    pub(crate) fn set_groups(&mut self, name: &ThingName, groups: Vec<GroupName>) -> Result<(), AccountError> {
        for group in &groups {
            self.tables.group(group)?;
        }
        self.edit_thing(name, |row| row.groups = groups)
    }

    /// Puts a Thing into a billing group, or takes it out.
    pub(crate) fn set_billing_group(
        &mut self,
        name: &ThingName,
        group: Option<BillingGroupName>,
    ) -> Result<(), AccountError> {
        if let Some(group) = &group {
            self.tables.billing_group(group)?;
        }
        self.edit_thing(name, |row| row.billing_group = group)
    }

    /// Deletes a Thing nothing is attached to, if its version is the expected one.
    pub(crate) fn delete_thing(&mut self, name: &ThingName, expected_version: Option<u64>) -> Result<(), AccountError> {
        let row = self.tables.thing(name)?;
        if let Some(expected) = expected_version.filter(|expected| *expected != row.version) {
            return Err(AccountError::VersionConflict { name: name.to_string(), expected, found: row.version });
        }
        if !row.principals.is_empty() {
            let words = format!("Thing {name} has certificates attached; detach them before deleting it");
            return Err(AccountError::Invalid(words));
        }
        self.put(Change::ThingGone(name.clone()))
    }

    /// Attaches a certificate to a Thing. Attaching it again changes nothing; other certificates of
    /// the Thing stay (sheet, 2.4).
    pub(crate) fn attach_principal(
        &mut self,
        name: &ThingName,
        certificate: &CertificateId,
        exclusive: bool,
    ) -> Result<(), AccountError> {
        let row = Arc::clone(self.tables.thing(name)?);
        let things = self.tables.certificate(certificate)?.things.clone();
        let others = things.iter().filter(|other| *other != name);
        let held = others.filter_map(|other| self.tables.things.get(other)).flat_map(|thing| &thing.principals);
        let mut held = held.filter(|link| link.certificate == *certificate).peekable();
        if held.peek().is_some() && (exclusive || held.any(|link| link.exclusive)) {
            let words = format!("certificate {certificate} is attached to another Thing, and one of both is exclusive");
            return Err(AccountError::Invalid(words));
        }
        let known = row.principals.iter().find(|link| link.certificate == *certificate);
        if known.is_some_and(|link| link.exclusive == exclusive) {
            return Ok(());
        }
        let link = PrincipalLink { certificate: certificate.clone(), exclusive };
        self.edit_thing(name, |row| match row.principals.iter_mut().find(|link| link.certificate == *certificate) {
            Some(known) => *known = link,
            None => row.principals.push(link),
        })?;
        match things.contains(name) {
            true => Ok(()),
            false => self.edit_certificate(certificate, |row| row.things.push(name.clone())),
        }
    }

    /// Detaches a certificate from a Thing. One that is not attached is as good.
    pub(crate) fn detach_principal(
        &mut self,
        name: &ThingName,
        certificate: &CertificateId,
    ) -> Result<(), AccountError> {
        self.tables.certificate(certificate)?;
        self.edit_thing(name, |row| row.principals.retain(|link| link.certificate != *certificate))?;
        self.edit_certificate(certificate, |row| row.things.retain(|thing| thing != name))
    }
}
