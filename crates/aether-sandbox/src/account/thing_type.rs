//! Thing types.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountError, Change, Millis, Resource, ThingTypeName, Tx};
use crate::random;

/// A type can be deleted this long after it was deprecated (API Reference, DeleteThingType).
const DELETE_AFTER: Duration = Duration::from_secs(5 * 60);

/// A Thing type.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThingTypeRow {
    pub(crate) name: ThingTypeName,
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) searchable_attributes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deprecated: Option<Millis>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created: Millis,
}

impl Tx<'_> {
    /// Creates a Thing type. Creating it again with the same content changes nothing.
    pub(crate) fn create_thing_type(
        &mut self,
        name: ThingTypeName,
        description: Option<String>,
        searchable_attributes: Vec<String>,
    ) -> Result<(), AccountError> {
        if let Some(known) = self.tables.thing_types.get(&name) {
            return match known.description == description && known.searchable_attributes == searchable_attributes {
                true => Ok(()),
                false => Err(AccountError::already_exists(Resource::ThingType, &name)),
            };
        }
        let no_bytes = |source| AccountError::Io { path: "the system's random numbers".into(), source };
        let id = random::uuid().map_err(no_bytes)?;
        self.put(Change::ThingType(ThingTypeRow {
            name,
            id,
            description,
            searchable_attributes,
            deprecated: None,
            tags: BTreeMap::new(),
            created: self.now,
        }))
    }

    /// Deprecates a type, so that no Thing can take it, or undoes that.
    pub(crate) fn deprecate_thing_type(&mut self, name: &ThingTypeName, undo: bool) -> Result<(), AccountError> {
        let mut row = (**self.tables.thing_type(name)?).clone();
        row.deprecated = match (undo, row.deprecated) {
            (true, _) => None,
            (false, Some(since)) => Some(since),
            (false, None) => Some(self.now),
        };
        self.put(Change::ThingType(row))
    }

    /// Deletes a type that was deprecated five minutes ago or longer.
    pub(crate) fn delete_thing_type(&mut self, name: &ThingTypeName) -> Result<(), AccountError> {
        let row = self.tables.thing_type(name)?;
        let words = match row.deprecated {
            None => format!("Thing type {name} is not deprecated; deprecate it before deleting it"),
            Some(since) if self.now < since.after(DELETE_AFTER) => {
                format!("Thing type {name} was deprecated less than 5 minutes ago")
            }
            Some(_) => return self.put(Change::ThingTypeGone(name.clone())),
        };
        Err(AccountError::Invalid(words))
    }
}
