//! What a Thing and a certificate become when a plan meets what exists already.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{MAX_ATTRIBUTES_WITH_TYPE, MAX_ATTRIBUTES_WITHOUT_TYPE};
use crate::plan::{CertificatePlan, Override, PlannedStatus, ThingPlan};

/// What is known of a Thing, beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by callers from their own registry")]
pub struct ThingFacts {
    /// Attributes by name.
    pub attributes: BTreeMap<String, String>,
    /// Name of its thing type.
    pub thing_type: Option<String>,
    /// Names of the groups it is in.
    pub groups: BTreeSet<String>,
    /// Name of its billing group.
    pub billing_group: Option<String>,
}

/// Why a plan cannot be applied to what exists. AWS calls it `ResourceConflictsException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// `OverrideSettings` say `FAIL`.
    #[error("{resource} exists already and OverrideSettings.{property} is FAIL")]
    Fail {
        /// `Thing press-3`, `the certificate`.
        resource: String,
        /// The property of the setting.
        property: &'static str,
    },
    /// The old and the new attributes together are too many.
    #[error("Thing {thing} would have {count} attributes, expected at most {limit} {why}")]
    TooManyAttributes {
        /// Name of the Thing.
        thing: String,
        /// Attributes it would have.
        count: usize,
        /// Attributes it may have.
        limit: usize,
        /// `with a thing type` or `without a thing type`.
        why: &'static str,
    },
}

/// The state of a certificate that a plan may meet. Revoked certificates and those in transfer are
/// refused by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the three states a certificate can be provisioned from")]
pub enum CurrentStatus {
    /// `PENDING_ACTIVATION`.
    Pending,
    /// `ACTIVE`.
    Active,
    /// `INACTIVE`.
    Inactive,
}

/// What the Thing `plan` names becomes. `existing` is what is known of it, `None` if it is new.
///
/// A property the template leaves out is not touched, whatever its setting says, except that `FAIL`
/// fails whenever the Thing exists: both are choices where AWS is silent. A billing group has no
/// setting: a Thing that has one keeps it. With `MERGE` the template's value wins for an attribute
/// that both sides have. Applied twice, a plan changes nothing more.
///
/// # Errors
///
/// [`Conflict`], if a setting is `FAIL` or the attributes become too many.
pub fn apply(existing: Option<&ThingFacts>, plan: &ThingPlan) -> Result<ThingFacts, Conflict> {
    let facts = match existing {
        None => ThingFacts {
            attributes: plan.attributes.clone().unwrap_or_default(),
            thing_type: plan.thing_type.clone(),
            groups: plan.groups.clone().unwrap_or_default(),
            billing_group: plan.billing_group.clone(),
        },
        Some(existing) => overridden(existing, plan)?,
    };
    check_attribute_count(&plan.name, &facts)?;
    Ok(facts)
}

/// The state a certificate in state `current` takes.
///
/// A pending certificate always takes the template's. An active or inactive one stays as it is
/// unless the setting for `Status` says otherwise (sheet, 2.4).
///
/// # Errors
///
/// [`Conflict::Fail`], if the certificate is not pending and the setting is `FAIL`.
pub fn apply_status(current: CurrentStatus, plan: &CertificatePlan) -> Result<PlannedStatus, Conflict> {
    let now = match current {
        CurrentStatus::Pending => return Ok(plan.status),
        CurrentStatus::Active => PlannedStatus::Active,
        CurrentStatus::Inactive => PlannedStatus::Inactive,
    };
    match plan.override_status {
        Override::DoNothing | Override::Merge => Ok(now),
        Override::Replace => Ok(plan.status),
        Override::Fail => Err(Conflict::Fail { resource: "the certificate".to_owned(), property: "Status" }),
    }
}

fn overridden(existing: &ThingFacts, plan: &ThingPlan) -> Result<ThingFacts, Conflict> {
    let settings = &plan.overrides;
    for (setting, property) in [
        (settings.attributes, "AttributePayload"),
        (settings.thing_type, "ThingTypeName"),
        (settings.groups, "ThingGroups"),
    ] {
        if setting == Override::Fail {
            return Err(Conflict::Fail { resource: format!("Thing {}", plan.name), property });
        }
    }
    let attributes = settled(settings.attributes, &existing.attributes, plan.attributes.as_ref(), |old, new| {
        old.iter().chain(new).map(|(name, value)| (name.clone(), value.clone())).collect()
    });
    let groups = settled(settings.groups, &existing.groups, plan.groups.as_ref(), |old, new| old | new);
    let new_type = plan.thing_type.clone().map(Some);
    let thing_type = settled(settings.thing_type, &existing.thing_type, new_type.as_ref(), |old, _| old.clone());
    let billing_group = existing.billing_group.clone().or_else(|| plan.billing_group.clone());
    Ok(ThingFacts { attributes, thing_type, groups, billing_group })
}

/// The value of one property after its setting has been followed.
fn settled<T: Clone>(setting: Override, old: &T, new: Option<&T>, merge: impl FnOnce(&T, &T) -> T) -> T {
    match (setting, new) {
        (Override::Replace, Some(new)) => new.clone(),
        (Override::Merge, Some(new)) => merge(old, new),
        (Override::DoNothing | Override::Fail, _) | (Override::Replace | Override::Merge, None) => old.clone(),
    }
}

fn check_attribute_count(thing: &str, facts: &ThingFacts) -> Result<(), Conflict> {
    let (limit, why) = match facts.thing_type {
        Some(_) => (MAX_ATTRIBUTES_WITH_TYPE, "with a thing type"),
        None => (MAX_ATTRIBUTES_WITHOUT_TYPE, "without a thing type"),
    };
    let count = facts.attributes.len();
    match count <= limit {
        true => Ok(()),
        false => Err(Conflict::TooManyAttributes { thing: thing.to_owned(), count, limit, why }),
    }
}
