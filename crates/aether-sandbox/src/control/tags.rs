//! Tags of resources.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Tag, tags};
use super::error::ApiError;
use super::paging::{Style, page};
use super::route::{Route, route};
use crate::account::Tagged;

pub(super) const ROUTES: &[Route] = &[
    route("TagResource", "POST", "/tags", tag),
    route("UntagResource", "POST", "/untag", untag),
    route("ListTagsForResource", "GET", "/tags", list),
];

/// Reads the name of a resource of one kind.
type Make = fn(&str) -> Result<Tagged, ApiError>;

/// The resource of an ARN.
fn tagged(call: &Call<'_>, arn: &str) -> Result<Tagged, ApiError> {
    fn made<T: FromStr<Err: std::fmt::Display>>(name: &str, make: fn(T) -> Tagged) -> Result<Tagged, ApiError> {
        name.parse().map(make).map_err(ApiError::invalid)
    }
    let makers: [(&str, Make); 6] = [
        ("cacert", |name| made(name, Tagged::Ca)),
        ("policy", |name| made(name, Tagged::Policy)),
        ("provisioningtemplate", |name| made(name, Tagged::Template)),
        ("thingtype", |name| made(name, Tagged::ThingType)),
        ("thinggroup", |name| made(name, Tagged::Group)),
        ("billinggroup", |name| made(name, Tagged::BillingGroup)),
    ];
    let mut found = makers.iter().filter_map(|(kind, make)| Some(make(call.in_arn(kind, arn)?)));
    found.next().unwrap_or_else(|| {
        let kinds = makers.map(|(kind, _)| kind).join(", ");
        let expected = call.arn("<kind>", "<name>");
        Err(ApiError::invalid(format_args!(
            "resourceArn is {arn:?}, expected {expected} of a kind that has tags: {kinds}"
        )))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tagging {
    resource_arn: String,
    tags: Vec<Tag>,
}

fn tag(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Tagging = call.body()?;
    let of = tagged(call, &wanted.resource_arn)?;
    call.change(|tx| tx.add_tags(&of, tags(wanted.tags)))?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Untagging {
    resource_arn: String,
    tag_keys: Vec<String>,
}

fn untag(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Untagging = call.body()?;
    let of = tagged(call, &wanted.resource_arn)?;
    call.change(|tx| tx.remove_tags(&of, &wanted.tag_keys))?;
    Ok(json!({}))
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let of = tagged(call, call.query("resourceArn").unwrap_or_default())?;
    let tables = call.read();
    let entries = tables.tags(&of)?.iter().map(|(key, value)| (key.clone(), json!({ "Key": key, "Value": value })));
    page(call, Style::Token, "tags", entries.collect())
}
