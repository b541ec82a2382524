//! Static Thing groups.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Tag, tags};
use super::error::ApiError;
use super::paging::{Style, page};
use super::route::{Route, route};
use super::things::Attributes;
use crate::account::{GroupName, GroupRow, Tables, Tagged};

pub(super) const ROUTES: &[Route] = &[
    route("CreateThingGroup", "POST", "/thing-groups/{thingGroupName}", create),
    route("DescribeThingGroup", "GET", "/thing-groups/{thingGroupName}", describe),
    route("UpdateThingGroup", "PATCH", "/thing-groups/{thingGroupName}", update),
    route("DeleteThingGroup", "DELETE", "/thing-groups/{thingGroupName}", delete),
    route("ListThingGroups", "GET", "/thing-groups", list),
];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    thing_group_description: Option<String>,
    attribute_payload: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewGroup {
    parent_group_name: Option<GroupName>,
    #[serde(default)]
    thing_group_properties: Properties,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: GroupName = call.path("thingGroupName")?;
    let wanted: NewGroup = call.body()?;
    let properties = wanted.thing_group_properties;
    let attributes = properties.attribute_payload.unwrap_or_default().applied_to(&Default::default());
    let id = call.change(|tx| {
        tx.create_group(name.clone(), wanted.parent_group_name, properties.thing_group_description, attributes)?;
        tx.add_tags(&Tagged::Group(name.clone()), tags(wanted.tags))?;
        Ok(tx.tables.group(&name)?.id.clone())
    })?;
    Ok(json!({ "thingGroupName": name.as_str(), "thingGroupArn": call.arn("thinggroup", &name), "thingGroupId": id }))
}

/// A group in a list.
pub(super) fn entry(call: &Call<'_>, name: &GroupName) -> Value {
    json!({ "groupName": name.as_str(), "groupArn": call.arn("thinggroup", name) })
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.group(&call.path("thingGroupName")?)?;
    let mut properties = json!({ "attributePayload": { "attributes": row.attributes } });
    if let Some(description) = &row.description {
        properties["thingGroupDescription"] = json!(description);
    }
    let mut metadata = json!({ "creationDate": row.created.as_seconds() });
    if let Some(parent) = &row.parent {
        let above = tables.with_ancestors(parent);
        let path: Vec<_> = above.iter().rev().map(|group| entry(call, &group.name)).collect();
        metadata["parentGroupName"] = json!(parent.as_str());
        metadata["rootToParentThingGroups"] = json!(path);
    }
    Ok(json!({
        "thingGroupName": row.name.as_str(),
        "thingGroupId": row.id,
        "thingGroupArn": call.arn("thinggroup", &row.name),
        "version": row.version,
        "thingGroupProperties": properties,
        "thingGroupMetadata": metadata,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    thing_group_properties: Properties,
    expected_version: Option<u64>,
}

fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: GroupName = call.path("thingGroupName")?;
    let Changes { thing_group_properties: properties, expected_version } = call.body()?;
    let version = call.change(|tx| {
        let row = tx.tables.group(&name)?.clone();
        let description = properties.thing_group_description.or_else(|| row.description.clone());
        let attributes = match &properties.attribute_payload {
            Some(given) => given.applied_to(&row.attributes),
            None => row.attributes.clone(),
        };
        tx.update_group(&name, description, attributes, expected_version)
    })?;
    Ok(json!({ "version": version }))
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, version) = (call.path("thingGroupName")?, call.parameter("expectedVersion")?);
    call.take_away(|tx| tx.delete_group(&name, version))
}

/// Whether a group is somewhere below another.
pub(super) fn is_below(tables: &Tables, group: &GroupRow, above: &GroupName) -> bool {
    group.parent.as_ref().is_some_and(|parent| tables.with_ancestors(parent).iter().any(|row| row.name == *above))
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let parent = call.parameter::<GroupName>("parentGroup")?;
    let prefix = call.query("namePrefixFilter").unwrap_or_default();
    // Without a parent all groups are listed, with one its children: AWS does not say which.
    let recursive = call.parameter::<bool>("recursive")?.unwrap_or(parent.is_none());
    let tables = call.read();
    if let Some(parent) = &parent {
        tables.group(parent)?;
    }
    let placed = |row: &GroupRow| match (&parent, recursive) {
        (None, true) => true,
        (None, false) => row.parent.is_none(),
        (Some(parent), true) => is_below(&tables, row, parent),
        (Some(parent), false) => row.parent.as_ref() == Some(parent),
    };
    let rows = tables.groups.values().filter(|row| row.name.as_str().starts_with(prefix) && placed(row));
    let entries = rows.map(|row| (row.name.to_string(), entry(call, &row.name)));
    page(call, Style::Token, "thingGroups", entries.collect())
}
