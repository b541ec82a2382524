//! Thing types.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Tag, tags};
use super::error::ApiError;
use super::paging::{Style, page};
use super::route::{Route, route};
use crate::account::{Tagged, ThingTypeName, ThingTypeRow};

pub(super) const ROUTES: &[Route] = &[
    route("CreateThingType", "POST", "/thing-types/{thingTypeName}", create),
    route("DescribeThingType", "GET", "/thing-types/{thingTypeName}", describe),
    route("ListThingTypes", "GET", "/thing-types", list),
    route("DeprecateThingType", "POST", "/thing-types/{thingTypeName}/deprecate", deprecate),
    route("DeleteThingType", "DELETE", "/thing-types/{thingTypeName}", delete),
];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    thing_type_description: Option<String>,
    searchable_attributes: Vec<String>,
    mqtt5_configuration: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewType {
    #[serde(default)]
    thing_type_properties: Properties,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: ThingTypeName = call.path("thingTypeName")?;
    let NewType { thing_type_properties: properties, tags: given } = call.body()?;
    if properties.mqtt5_configuration.is_some() {
        return Err(ApiError::not_implemented("mqtt5Configuration: attributes are not propagated into messages"));
    }
    let id = call.change(|tx| {
        tx.create_thing_type(name.clone(), properties.thing_type_description, properties.searchable_attributes)?;
        tx.add_tags(&Tagged::ThingType(name.clone()), tags(given))?;
        Ok(tx.tables.thing_type(&name)?.id.clone())
    })?;
    Ok(json!({ "thingTypeName": name.as_str(), "thingTypeArn": call.arn("thingtype", &name), "thingTypeId": id }))
}

/// What describing and listing have in common.
fn entry(call: &Call<'_>, row: &ThingTypeRow) -> Value {
    let mut properties = json!({ "searchableAttributes": row.searchable_attributes });
    if let Some(description) = &row.description {
        properties["thingTypeDescription"] = json!(description);
    }
    let mut metadata = json!({ "deprecated": row.deprecated.is_some(), "creationDate": row.created.as_seconds() });
    if let Some(since) = row.deprecated {
        metadata["deprecationDate"] = json!(since.as_seconds());
    }
    json!({
        "thingTypeName": row.name.as_str(),
        "thingTypeArn": call.arn("thingtype", &row.name),
        "thingTypeProperties": properties,
        "thingTypeMetadata": metadata,
    })
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.thing_type(&call.path("thingTypeName")?)?;
    let mut found = entry(call, row);
    found["thingTypeId"] = json!(row.id);
    Ok(found)
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted = call.query("thingTypeName");
    let tables = call.read();
    let rows = tables.thing_types.values().filter(|row| wanted.is_none_or(|name| row.name.as_str() == name));
    let entries = rows.map(|row| (row.name.to_string(), entry(call, row)));
    page(call, Style::Token, "thingTypes", entries.collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deprecation {
    #[serde(default)]
    undo_deprecate: bool,
}

fn deprecate(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.path("thingTypeName")?;
    let Deprecation { undo_deprecate } = call.body()?;
    call.change(|tx| tx.deprecate_thing_type(&name, undo_deprecate))?;
    Ok(json!({}))
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.path("thingTypeName")?;
    call.change(|tx| tx.delete_thing_type(&name))?;
    Ok(json!({}))
}
