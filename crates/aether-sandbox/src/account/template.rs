//! Provisioning templates with their versions (reference sheet, 1.6 and 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AccountError, Change, Millis, Resource, TemplateName, Tx};

/// Most versions of one template (AWS General Reference, provisioning quotas).
const MAX_VERSIONS: usize = 5;

/// What a template is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TemplateKind {
    /// By claim, or by a trusted user.
    #[default]
    #[serde(rename = "FLEET_PROVISIONING")]
    Fleet,
    /// Just in time, for the certificates of a CA.
    #[serde(rename = "JITP")]
    Jitp,
}

impl TemplateKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "FLEET_PROVISIONING",
            Self::Jitp => "JITP",
        }
    }
}

/// A pre-provisioning hook as a template names it (sheet, 2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hook {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload_version: Option<String>,
    pub(crate) target: String,
}

/// A template. Its bodies have been checked by the caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateRow {
    pub(crate) name: TemplateName,
    #[serde(default)]
    pub(crate) kind: TemplateKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) role_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hook: Option<Hook>,
    pub(crate) versions: BTreeMap<u32, TemplateVersion>,
    pub(crate) default_version: u32,
    pub(crate) next_version: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created: Millis,
    pub(crate) modified: Millis,
}

/// One version of a template.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateVersion {
    pub(crate) body: String,
    pub(crate) created: Millis,
}

impl TemplateRow {
    /// A template with one version.
    pub(crate) fn new(name: TemplateName, body: String, role_arn: String, now: Millis) -> Self {
        Self {
            name,
            kind: TemplateKind::Fleet,
            description: None,
            enabled: true,
            role_arn,
            hook: None,
            versions: BTreeMap::from([(1, TemplateVersion { body, created: now })]),
            default_version: 1,
            next_version: 2,
            tags: BTreeMap::new(),
            created: now,
            modified: now,
        }
    }

    pub(crate) fn default_body(&self) -> &str {
        self.versions.get(&self.default_version).map_or("", |version| &version.body)
    }

    pub(crate) fn version(&self, id: u32) -> Result<&TemplateVersion, AccountError> {
        let name = || format!("{}:{id}", self.name);
        self.versions.get(&id).ok_or_else(|| AccountError::not_found(Resource::TemplateVersion, name()))
    }
}

impl Tx<'_> {
    pub(crate) fn create_template(&mut self, row: TemplateRow) -> Result<(), AccountError> {
        match self.tables.templates.contains_key(&row.name) {
            true => Err(AccountError::already_exists(Resource::Template, &row.name)),
            false => self.put(Change::Template(row)),
        }
    }

    /// Changes a template: description, role, hook, whether it is enabled, the default version.
    pub(crate) fn edit_template(
        &mut self,
        name: &TemplateName,
        edit: impl FnOnce(&mut TemplateRow) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        let mut row = (**self.tables.template(name)?).clone();
        edit(&mut row)?;
        row.modified = self.now;
        self.put(Change::Template(row))
    }

    /// Adds a version, and makes it the default one if asked to.
    pub(crate) fn create_template_version(
        &mut self,
        name: &TemplateName,
        body: String,
        set_default: bool,
    ) -> Result<u32, AccountError> {
        let mut row = (**self.tables.template(name)?).clone();
        if row.versions.len() >= MAX_VERSIONS {
            let name = name.to_string();
            return Err(AccountError::VersionsLimit { what: Resource::Template, name, limit: MAX_VERSIONS });
        }
        let id = row.next_version;
        row.next_version = row.next_version.saturating_add(1);
        row.versions.insert(id, TemplateVersion { body, created: self.now });
        if set_default {
            row.default_version = id;
        }
        row.modified = self.now;
        self.put(Change::Template(row))?;
        Ok(id)
    }

    /// Deletes a version that is not the default one.
    pub(crate) fn delete_template_version(&mut self, name: &TemplateName, id: u32) -> Result<(), AccountError> {
        self.edit_template(name, |row| {
            row.version(id)?;
            if row.default_version == id {
                let words = format!("version {id} of template {} is the default one", row.name);
                return Err(AccountError::DeleteConflict(words));
            }
            row.versions.remove(&id);
            Ok(())
        })
    }

    /// Deletes a template that has no version besides the default one.
    pub(crate) fn delete_template(&mut self, name: &TemplateName) -> Result<(), AccountError> {
        if self.tables.template(name)?.versions.len() > 1 {
            let words = format!("template {name} has versions besides the default one; delete them first");
            return Err(AccountError::DeleteConflict(words));
        }
        self.put(Change::TemplateGone(name.clone()))
    }
}
