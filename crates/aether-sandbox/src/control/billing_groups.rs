//! Billing groups.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Tag, tags};
use super::error::ApiError;
use super::paging::{Style, page};
use super::route::{Route, route};
use crate::account::{BillingGroupName, Tagged, ThingName};

pub(super) const ROUTES: &[Route] = &[
    route("CreateBillingGroup", "POST", "/billing-groups/{billingGroupName}", create),
    route("DescribeBillingGroup", "GET", "/billing-groups/{billingGroupName}", describe),
    route("UpdateBillingGroup", "PATCH", "/billing-groups/{billingGroupName}", update),
    route("DeleteBillingGroup", "DELETE", "/billing-groups/{billingGroupName}", delete),
    route("ListBillingGroups", "GET", "/billing-groups", list),
    route("AddThingToBillingGroup", "PUT", "/billing-groups/addThingToBillingGroup", add),
    route("RemoveThingFromBillingGroup", "PUT", "/billing-groups/removeThingFromBillingGroup", remove),
    route("ListThingsInBillingGroup", "GET", "/billing-groups/{billingGroupName}/things", list_things),
];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    billing_group_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewGroup {
    #[serde(default)]
    billing_group_properties: Properties,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: BillingGroupName = call.path("billingGroupName")?;
    let wanted: NewGroup = call.body()?;
    let id = call.change(|tx| {
        tx.create_billing_group(name.clone(), wanted.billing_group_properties.billing_group_description)?;
        tx.add_tags(&Tagged::BillingGroup(name.clone()), tags(wanted.tags))?;
        Ok(tx.tables.billing_group(&name)?.id.clone())
    })?;
    Ok(json!({
        "billingGroupName": name.as_str(),
        "billingGroupArn": call.arn("billinggroup", &name),
        "billingGroupId": id,
    }))
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.billing_group(&call.path("billingGroupName")?)?;
    let properties = match &row.description {
        Some(description) => json!({ "billingGroupDescription": description }),
        None => json!({}),
    };
    Ok(json!({
        "billingGroupName": row.name.as_str(),
        "billingGroupId": row.id,
        "billingGroupArn": call.arn("billinggroup", &row.name),
        "version": row.version,
        "billingGroupProperties": properties,
        "billingGroupMetadata": { "creationDate": row.created.as_seconds() },
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    billing_group_properties: Properties,
    expected_version: Option<u64>,
}

fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.path("billingGroupName")?;
    let Changes { billing_group_properties: properties, expected_version } = call.body()?;
    let description = properties.billing_group_description;
    let version = call.change(|tx| tx.update_billing_group(&name, description, expected_version))?;
    Ok(json!({ "version": version }))
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, version) = (call.path("billingGroupName")?, call.parameter("expectedVersion")?);
    call.take_away(|tx| tx.delete_billing_group(&name, version))
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let prefix = call.query("namePrefixFilter").unwrap_or_default();
    let tables = call.read();
    let names = tables.billing_groups.keys().filter(|name| name.as_str().starts_with(prefix)).map(|name| {
        let entry = json!({ "groupName": name.as_str(), "groupArn": call.arn("billinggroup", name) });
        (name.to_string(), entry)
    });
    page(call, Style::Token, "billingGroups", names.collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    billing_group_name: Option<String>,
    billing_group_arn: Option<String>,
    thing_name: Option<String>,
    thing_arn: Option<String>,
}

impl Membership {
    fn parsed(self, call: &Call<'_>) -> Result<(ThingName, BillingGroupName), ApiError> {
        let (name, arn) = (self.billing_group_name, self.billing_group_arn);
        let thing = call.name_or_arn("thing", "thingName", self.thing_name, self.thing_arn)?;
        Ok((thing, call.name_or_arn("billinggroup", "billingGroupName", name, arn)?))
    }
}

fn add(call: &Call<'_>) -> Result<Value, ApiError> {
    let (thing, group) = call.body::<Membership>()?.parsed(call)?;
    call.change(|tx| tx.set_billing_group(&thing, Some(group)))?;
    Ok(json!({}))
}

fn remove(call: &Call<'_>) -> Result<Value, ApiError> {
    let (thing, group) = call.body::<Membership>()?.parsed(call)?;
    call.change(|tx| {
        tx.tables.billing_group(&group)?;
        match tx.tables.thing(&thing)?.billing_group == Some(group) {
            true => tx.set_billing_group(&thing, None),
            false => Ok(()),
        }
    })?;
    Ok(json!({}))
}

fn list_things(call: &Call<'_>) -> Result<Value, ApiError> {
    let group: BillingGroupName = call.path("billingGroupName")?;
    let tables = call.read();
    tables.billing_group(&group)?;
    let things = tables.things.values().filter(|thing| thing.billing_group.as_ref() == Some(&group));
    let names = things.map(|thing| (thing.name.to_string(), json!(thing.name.as_str())));
    page(call, Style::Token, "things", names.collect())
}
