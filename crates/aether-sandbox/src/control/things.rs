//! Things, and the certificates attached to them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::paging::{Style, page};
use super::route::{Route, route};
use crate::CertificateId;
use crate::account::{BillingGroupName, NewThing, PrincipalLink, ThingName, ThingRow, ThingTypeName};

pub(super) const ROUTES: &[Route] = &[
    route("CreateThing", "POST", "/things/{thingName}", create),
    route("DescribeThing", "GET", "/things/{thingName}", describe),
    route("UpdateThing", "PATCH", "/things/{thingName}", update),
    route("DeleteThing", "DELETE", "/things/{thingName}", delete),
    route("ListThings", "GET", "/things", list),
    route("AttachThingPrincipal", "PUT", "/things/{thingName}/principals", attach),
    route("DetachThingPrincipal", "DELETE", "/things/{thingName}/principals", detach),
    route("ListThingPrincipals", "GET", "/things/{thingName}/principals", list_principals),
    route("ListThingPrincipalsV2", "GET", "/things/{thingName}/principals-v2", list_principals_v2),
    route("ListPrincipalThings", "GET", "/principals/things", list_of_principal),
    route("ListPrincipalThingsV2", "GET", "/principals/things-v2", list_of_principal_v2),
];

const PRINCIPAL: &str = "x-amzn-principal";

/// Attributes in a request.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Attributes {
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    /// Whether what is not named stays.
    #[serde(default)]
    pub(super) merge: bool,
}

impl Attributes {
    /// What becomes of `known`. An empty value takes an attribute away (API Reference, UpdateThing).
    pub(super) fn applied_to(&self, known: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut becomes = if self.merge { known.clone() } else { BTreeMap::new() };
        becomes.extend(self.attributes.clone());
        becomes.retain(|_, value| !value.is_empty());
        becomes
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    thing_type_name: Option<String>,
    attribute_payload: Option<Attributes>,
    billing_group_name: Option<String>,
    expected_version: Option<u64>,
    remove_thing_type: bool,
}

fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Properties = call.body()?;
    let name: ThingName = call.path("thingName")?;
    let new = NewThing {
        name: name.clone(),
        attributes: wanted.attribute_payload.unwrap_or_default().applied_to(&BTreeMap::new()),
        thing_type: wanted.thing_type_name.map(|name| name.parse::<ThingTypeName>()).transpose()?,
        billing_group: wanted.billing_group_name.map(|name| name.parse::<BillingGroupName>()).transpose()?,
    };
    let id = call.change(|tx| {
        tx.create_thing(new)?;
        Ok(tx.tables.thing(&name)?.id.clone())
    })?;
    Ok(json!({ "thingName": name.as_str(), "thingArn": call.arn("thing", &name), "thingId": id }))
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.thing(&call.path("thingName")?)?;
    let mut thing = json!({
        "defaultClientId": row.name.as_str(),
        "thingName": row.name.as_str(),
        "thingId": row.id,
        "thingArn": call.arn("thing", &row.name),
        "attributes": row.attributes,
        "version": row.version,
    });
    if let Some(kind) = &row.thing_type {
        thing["thingTypeName"] = json!(kind.as_str());
    }
    if let Some(group) = &row.billing_group {
        thing["billingGroupName"] = json!(group.as_str());
    }
    Ok(thing)
}

fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Properties = call.body()?;
    let name: ThingName = call.path("thingName")?;
    let kind = wanted.thing_type_name.map(|name| name.parse::<ThingTypeName>()).transpose()?;
    if wanted.remove_thing_type && kind.is_some() {
        return Err(ApiError::invalid("thingTypeName and removeThingType exclude each other"));
    }
    call.change(|tx| {
        let row = tx.tables.thing(&name)?.clone();
        let attributes = match &wanted.attribute_payload {
            Some(given) => given.applied_to(&row.attributes),
            None => row.attributes.clone(),
        };
        let kind = if wanted.remove_thing_type { None } else { kind.or_else(|| row.thing_type.clone()) };
        tx.update_thing(&name, attributes, kind, wanted.expected_version)
    })?;
    Ok(json!({}))
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, version) = (call.path("thingName")?, call.parameter("expectedVersion")?);
    call.take_away(|tx| tx.delete_thing(&name, version))
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let kind = call.query("thingTypeName");
    let by_prefix = call.flag("usePrefixAttributeValue")?;
    let (attribute, value) = (call.query("attributeName"), call.query("attributeValue"));
    let fits = |row: &&ThingRow| {
        let of_kind = kind.is_none_or(|kind| row.thing_type.as_ref().is_some_and(|known| known.as_str() == kind));
        let has_attribute = attribute.is_none_or(|name| {
            let known = row.attributes.get(name);
            known.is_some_and(|known| match value {
                None => true,
                Some(value) if by_prefix => known.starts_with(value),
                Some(value) => known == value,
            })
        });
        of_kind && has_attribute
    };
    if attribute.is_none() && value.is_some() {
        return Err(ApiError::invalid("attributeValue is given, expected attributeName with it"));
    }
    let tables = call.read();
    let things = tables.things.values().map(|row| &**row).filter(fits).map(|row| {
        let mut thing = json!({
            "thingName": row.name.as_str(),
            "thingArn": call.arn("thing", &row.name),
            "attributes": row.attributes,
            "version": row.version,
        });
        if let Some(kind) = &row.thing_type {
            thing["thingTypeName"] = json!(kind.as_str());
        }
        (row.name.to_string(), thing)
    });
    page(call, Style::Token, "things", things.collect())
}

/// Whether a request is about certificates that are a Thing's alone; `None` when it does not say.
fn exclusive(call: &Call<'_>) -> Result<Option<bool>, ApiError> {
    match call.query("thingPrincipalType") {
        None => Ok(None),
        Some("EXCLUSIVE_THING") => Ok(Some(true)),
        Some("NON_EXCLUSIVE_THING") => Ok(Some(false)),
        Some(other) => Err(ApiError::invalid(format_args!(
            "thingPrincipalType is {other:?}, expected EXCLUSIVE_THING or NON_EXCLUSIVE_THING"
        ))),
    }
}

fn type_name(link: &PrincipalLink) -> &'static str {
    if link.exclusive { "EXCLUSIVE_THING" } else { "NON_EXCLUSIVE_THING" }
}

fn header_principal(call: &Call<'_>) -> Result<CertificateId, ApiError> {
    call.principal(call.header(PRINCIPAL)?)
}

fn attach(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, certificate) = (call.path("thingName")?, header_principal(call)?);
    let exclusive = exclusive(call)?.unwrap_or_default();
    call.change(|tx| tx.attach_principal(&name, &certificate, exclusive))?;
    Ok(json!({}))
}

fn detach(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, certificate) = (call.path("thingName")?, header_principal(call)?);
    call.change(|tx| tx.detach_principal(&name, &certificate))?;
    Ok(json!({}))
}

fn list_principals(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let links = tables.thing(&call.path("thingName")?)?.principals.iter();
    let arns = links.map(|link| call.arn("cert", &link.certificate)).map(|arn| (arn.clone(), json!(arn)));
    page(call, Style::Token, "principals", arns.collect())
}

fn list_principals_v2(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted = exclusive(call)?;
    let tables = call.read();
    let links = tables.thing(&call.path("thingName")?)?.principals.iter();
    let entries = links.filter(|link| wanted.is_none_or(|wanted| link.exclusive == wanted)).map(|link| {
        let arn = call.arn("cert", &link.certificate);
        (arn.clone(), json!({ "principal": arn, "thingPrincipalType": type_name(link) }))
    });
    page(call, Style::Token, "thingPrincipalObjects", entries.collect())
}

/// The Things of the certificate in the header, each with its link.
fn things_of_principal(call: &Call<'_>) -> Result<Vec<(String, PrincipalLink)>, ApiError> {
    let tables = call.read();
    let certificate = header_principal(call)?;
    let names = tables.certificate(&certificate)?.things.iter();
    let links = names.filter_map(|name| tables.things.get(name)).filter_map(|thing| {
        let link = thing.principals.iter().find(|link| link.certificate == certificate)?;
        Some((thing.name.to_string(), link.clone()))
    });
    Ok(links.collect())
}

fn list_of_principal(call: &Call<'_>) -> Result<Value, ApiError> {
    let names = things_of_principal(call)?.into_iter().map(|(name, _)| (name.clone(), json!(name)));
    page(call, Style::Token, "things", names.collect())
}

fn list_of_principal_v2(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted = exclusive(call)?;
    let links = things_of_principal(call)?.into_iter();
    let entries = links.filter(|(_, link)| wanted.is_none_or(|wanted| link.exclusive == wanted)).map(|(name, link)| {
        let entry = json!({ "thingName": name, "thingPrincipalType": type_name(&link) });
        (name, entry)
    });
    page(call, Style::Token, "principalThingObjects", entries.collect())
}
