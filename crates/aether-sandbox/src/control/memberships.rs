//! Things in Thing groups.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::paging::{Style, page};
use super::route::{Route, route};
use super::thing_groups::{entry, is_below};
use crate::account::{GroupName, ThingName};

pub(super) const ROUTES: &[Route] = &[
    route("AddThingToThingGroup", "PUT", "/thing-groups/addThingToThingGroup", add),
    route("RemoveThingFromThingGroup", "PUT", "/thing-groups/removeThingFromThingGroup", remove),
    route("UpdateThingGroupsForThing", "PUT", "/thing-groups/updateThingGroupsForThing", update),
    route("ListThingsInThingGroup", "GET", "/thing-groups/{thingGroupName}/things", list_things),
    route("ListThingGroupsForThing", "GET", "/things/{thingName}/thing-groups", list_groups),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    thing_group_name: Option<String>,
    thing_group_arn: Option<String>,
    thing_name: Option<String>,
    thing_arn: Option<String>,
}

impl Membership {
    fn parsed(self, call: &Call<'_>) -> Result<(ThingName, GroupName), ApiError> {
        let thing = call.name_or_arn("thing", "thingName", self.thing_name, self.thing_arn)?;
        Ok((thing, call.name_or_arn("thinggroup", "thingGroupName", self.thing_group_name, self.thing_group_arn)?))
    }
}

fn add(call: &Call<'_>) -> Result<Value, ApiError> {
    let (thing, group) = call.body::<Membership>()?.parsed(call)?;
    change(call, &thing, vec![group], &[])
}

fn remove(call: &Call<'_>) -> Result<Value, ApiError> {
    let (thing, group) = call.body::<Membership>()?.parsed(call)?;
    change(call, &thing, Vec::new(), &[group])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memberships {
    thing_name: ThingName,
    #[serde(default)]
    thing_groups_to_add: Vec<GroupName>,
    #[serde(default)]
    thing_groups_to_remove: Vec<GroupName>,
}

fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Memberships = call.body()?;
    change(call, &wanted.thing_name, wanted.thing_groups_to_add, &wanted.thing_groups_to_remove)
}

fn change(call: &Call<'_>, thing: &ThingName, add: Vec<GroupName>, remove: &[GroupName]) -> Result<Value, ApiError> {
    call.change(|tx| {
        let known = tx.tables.thing(thing)?.groups.clone();
        for group in remove {
            tx.tables.group(group)?;
        }
        let mut becomes = known.clone();
        becomes.retain(|group| !remove.contains(group));
        for group in add {
            if !becomes.contains(&group) {
                becomes.push(group);
            }
        }
        if becomes == known { Ok(()) } else { tx.set_groups(thing, becomes) }
    })?;
    Ok(json!({}))
}

fn list_things(call: &Call<'_>) -> Result<Value, ApiError> {
    let group: GroupName = call.path("thingGroupName")?;
    let recursive = call.flag("recursive")?;
    let tables = call.read();
    tables.group(&group)?;
    let inside = |name: &GroupName| {
        *name == group || recursive && tables.groups.get(name).is_some_and(|row| is_below(&tables, row, &group))
    };
    let things = tables.things.values().filter(|thing| thing.groups.iter().any(inside));
    let names = things.map(|thing| (thing.name.to_string(), json!(thing.name.as_str())));
    page(call, Style::Token, "things", names.collect())
}

fn list_groups(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let groups = tables.thing(&call.path("thingName")?)?.groups.iter();
    page(call, Style::Token, "thingGroups", groups.map(|name| (name.to_string(), entry(call, name))).collect())
}
