//! Makes the account what a filled-in template asks for.

use std::collections::BTreeSet;

use aether_iot_template::{Plan, PolicyPlan, PrincipalType, ThingFacts, ThingPlan, apply};

use crate::CertificateId;
use crate::account::{
    AccountError, BillingGroupName, GroupName, NewThing, PolicyName, PolicyTarget, ThingName, ThingRow, ThingTypeName,
    Tx,
};

/// Creates or changes the Thing, attaches it and the policies to the certificate, and gives the name
/// of the Thing. The status of the certificate is left to the caller: it is the last step where the
/// order can be seen (sheet, 2.8).
///
/// Thing types, Thing groups and named policies have to exist; a policy written out in the template
/// is created under the hash of its document. Other certificates of an existing Thing stay attached
/// (sheet, 2.4).
pub(crate) fn establish(
    tx: &mut Tx<'_>,
    certificate: &CertificateId,
    plan: &Plan,
) -> Result<Option<ThingName>, AccountError> {
    let thing = plan.thing.as_ref().map(|thing| establish_thing(tx, thing)).transpose()?;
    for policy in &plan.policies {
        let name: PolicyName = policy.name().parse()?;
        if let PolicyPlan::Inline { document, .. } = policy
            && !tx.tables.policies.contains_key(&name)
        {
            tx.create_policy(name.clone(), document, std::collections::BTreeMap::new())?;
        }
        tx.attach_policy(&name, &PolicyTarget::Certificate(certificate.clone()))?;
    }
    if let Some(name) = &thing {
        let exclusive = plan.certificate.principal_type == PrincipalType::Exclusive;
        tx.attach_principal(name, certificate, exclusive)?;
    }
    Ok(thing)
}

fn establish_thing(tx: &mut Tx<'_>, plan: &ThingPlan) -> Result<ThingName, AccountError> {
    let name: ThingName = plan.name.parse()?;
    let known = tx.tables.things.get(&name).map(|row| facts(row));
    let becomes =
        apply(known.as_ref(), plan).map_err(|conflict| AccountError::ResourceConflict(conflict.to_string()))?;
    let before = match known {
        Some(known) => known,
        None => {
            let new = NewThing {
                name: name.clone(),
                attributes: becomes.attributes.clone(),
                thing_type: thing_type(&becomes)?,
                billing_group: billing_group(&becomes)?,
            };
            tx.create_thing(new)?;
            ThingFacts { groups: BTreeSet::new(), ..becomes.clone() }
        }
    };
    if (&before.attributes, &before.thing_type) != (&becomes.attributes, &becomes.thing_type) {
        tx.update_thing(&name, becomes.attributes.clone(), thing_type(&becomes)?, None)?;
    }
    if before.groups != becomes.groups {
        let groups = becomes.groups.iter().map(|group| group.parse()).collect::<Result<Vec<GroupName>, _>>()?;
        tx.set_groups(&name, groups)?;
    }
    if before.billing_group != becomes.billing_group {
        tx.set_billing_group(&name, billing_group(&becomes)?)?;
    }
    Ok(name)
}

fn facts(row: &ThingRow) -> ThingFacts {
    ThingFacts {
        attributes: row.attributes.clone(),
        thing_type: row.thing_type.as_ref().map(ToString::to_string),
        groups: row.groups.iter().map(ToString::to_string).collect(),
        billing_group: row.billing_group.as_ref().map(ToString::to_string),
    }
}

fn thing_type(facts: &ThingFacts) -> Result<Option<ThingTypeName>, AccountError> {
    Ok(facts.thing_type.as_deref().map(str::parse).transpose()?)
}

fn billing_group(facts: &ThingFacts) -> Result<Option<BillingGroupName>, AccountError> {
    Ok(facts.billing_group.as_deref().map(str::parse).transpose()?)
}
