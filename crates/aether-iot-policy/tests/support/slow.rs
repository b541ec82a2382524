//! A second reading of the sheet's section 3: slow, obvious, and sharing no code with the crate.
//!
//! It works on the JSON itself. Variables are replaced first, the text is then compared by trying every
//! split at every star. Nothing is compiled, nothing borrowed, nothing clever.

use std::collections::BTreeMap;

use serde_json::Value;

/// All facts about a connection, in the open.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) client_id: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) thing: Option<WorldThing>,
    /// Field (such as `Subject.CommonName`) and value, in the certificate's order.
    pub(crate) certificate: Option<Vec<(String, String)>>,
    pub(crate) serial: Option<String>,
    pub(crate) persistent: bool,
    pub(crate) will: Option<String>,
    /// Seconds since 1970 and the same as a date.
    pub(crate) time: Option<(u64, String)>,
}

/// The Thing of a connection.
#[derive(Clone, Debug)]
pub(crate) struct WorldThing {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) attached: bool,
    pub(crate) exclusive: bool,
}

/// A character after substitution: `wild` if it stood in the policy as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ch {
    c: char,
    written: bool,
}

/// The decision: "allow", "deny" or "none".
pub(crate) fn decide(documents: &[Value], action: &str, resource: &str, world: &World) -> &'static str {
    let mut outcome = "none";
    for document in documents {
        for statement in list(&document["Statement"]) {
            if !applies(&statement, action, resource, world) {
                continue;
            }
            if statement["Effect"] == "Deny" {
                return "deny";
            }
            outcome = "allow";
        }
    }
    outcome
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn applies(statement: &Value, action: &str, resource: &str, world: &World) -> bool {
    let named = |member: &Value| {
        list(member).iter().any(|text| {
            let pattern: Vec<Ch> = text_of(text).to_lowercase().chars().map(|c| Ch { c, written: true }).collect();
            like(&pattern, &action.to_lowercase().chars().collect::<Vec<_>>())
        })
    };
    let covered = |member: &Value| {
        list(member).iter().any(|text| match fill(&text_of(text), action, world) {
            Some(pattern) => like(&pattern, &resource.chars().collect::<Vec<_>>()),
            None => false,
        })
    };
    let action_fits = match statement.get("NotAction") {
        Some(not) => !named(not),
        None => named(&statement["Action"]),
    };
    let resource_fits = match statement.get("NotResource") {
        Some(not) => !covered(not),
        None => covered(&statement["Resource"]),
    };
    let mut conditions_hold = true;
    if let Some(Value::Object(operators)) = statement.get("Condition") {
        for (operator, keys) in operators {
            for (key, values) in keys.as_object().unwrap() {
                let values: Vec<String> = list(values).iter().map(text_of).collect();
                conditions_hold = conditions_hold && holds(operator, key, &values, action, world);
            }
        }
    }
    action_fits && resource_fits && conditions_hold
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Tries every split at every star.
fn like(pattern: &[Ch], text: &[char]) -> bool {
    match pattern.first() {
        None => text.is_empty(),
        Some(Ch { c: '*', written: true }) => (0..=text.len()).any(|cut| like(&pattern[1..], &text[cut..])),
        Some(Ch { c: '?', written: true }) => !text.is_empty() && like(&pattern[1..], &text[1..]),
        Some(Ch { c, .. }) => text.first() == Some(c) && like(&pattern[1..], &text[1..]),
    }
}

/// Replaces variables; nothing if one has no value.
fn fill(text: &str, action: &str, world: &World) -> Option<Vec<Ch>> {
    let mut filled = Vec::new();
    let mut rest = text.to_owned();
    while !rest.is_empty() {
        if rest.starts_with("${") {
            let end = rest.find('}').unwrap();
            let name = rest[2..end].to_owned();
            rest = rest[end + 1..].to_owned();
            let value =
                if ["*", "?", "$"].contains(&name.as_str()) { name } else { value_to_fill_in(&name, action, world)? };
            filled.extend(value.chars().map(|c| Ch { c, written: false }));
        } else {
            let c = rest.remove(0);
            filled.push(Ch { c, written: true });
        }
    }
    Some(filled)
}

/// Rules 1 to 6 for a variable in a text.
fn value_to_fill_in(name: &str, action: &str, world: &World) -> Option<String> {
    if name.ends_with(".List") || name == "iot:Certificate.AvailableKeys" || name == "iot:ConnectAttributes" {
        return None;
    }
    let value = values_of(name, action, world)?.first()?.clone();
    if name.starts_with("iot:Certificate.") {
        // Undo the backslashes: the rules speak of what the certificate holds.
        let plain = value.replace("\\", "");
        if plain.chars().count() > 1024 || plain.contains(['*', '$', '+', '?', '#']) {
            return None;
        }
    }
    if value.is_empty() { None } else { Some(value) }
}

/// The values of a key; nothing if it is not there.
fn values_of(name: &str, action: &str, world: &World) -> Option<Vec<String>> {
    let one = |value: &str| Some(vec![value.to_owned()]);
    let thing = world
        .thing
        .as_ref()
        .filter(|thing| thing.attached && (thing.exclusive || world.client_id.as_ref() == Some(&thing.name)));
    if let Some(attribute) = name.strip_prefix("iot:Connection.Thing.Attributes[") {
        return one(thing?.attributes.get(attribute.trim_end_matches(']'))?);
    }
    match name {
        "iot:ClientId" => one(world.client_id.as_ref()?),
        "aws:SourceIp" => one(world.source_ip.as_ref()?),
        "aws:EpochTime" => one(&world.time.as_ref()?.0.to_string()),
        "aws:CurrentTime" => one(&world.time.as_ref()?.1),
        "iot:Connection.Thing.ThingName" => one(&thing?.name),
        "iot:Connection.Thing.ThingTypeName" => one(thing?.kind.as_ref()?),
        "iot:Connection.Thing.IsAttached" => one(if thing.is_some() { "true" } else { "false" }),
        "iot:Certificate.SerialNumber" => {
            world.certificate.as_ref()?;
            one(world.serial.as_ref()?)
        }
        "iot:LastWillTopic" if action == "iot:Connect" => one(world.will.as_ref()?),
        "iot:ConnectAttributes" if action == "iot:Connect" => {
            let mut attributes = Vec::new();
            if world.persistent {
                attributes.push("PersistentConnect".to_owned());
            }
            if world.will.is_some() {
                attributes.push("LastWill".to_owned());
            }
            if attributes.is_empty() { None } else { Some(attributes) }
        }
        _ => {
            let field = name.strip_prefix("iot:Certificate.")?;
            let of = |field: &str| -> Vec<String> {
                let all = world.certificate.iter().flatten().filter(|(known, _)| known == field);
                all.take(5).map(|(_, value)| with_backslashes(value)).collect()
            };
            if let Some(field) = field.strip_suffix(".List") {
                return Some(of(field)).filter(|values| !values.is_empty());
            }
            for at in 1..9 {
                if let Some(field) = field.strip_suffix(&format!(".{at}")) {
                    return of(field).get(at).map(|value| vec![value.clone()]);
                }
            }
            of(field).first().map(|value| vec![value.clone()])
        }
    }
}

fn with_backslashes(value: &str) -> String {
    let mut text = value.to_owned();
    for special in ["\\", ",", "\"", "+", "=", "<", ">", ";"] {
        text = text.replace(special, &format!("\\{special}"));
    }
    text
}

fn holds(operator: &str, key: &str, wanted: &[String], action: &str, world: &World) -> bool {
    let found = values_of(key, action, world);
    if operator == "Null" {
        return wanted.contains(&found.is_none().to_string());
    }
    let mut name = operator.to_owned();
    let every = name.starts_with("ForAllValues:");
    let some = name.starts_with("ForAnyValue:");
    name = name.replace("ForAllValues:", "").replace("ForAnyValue:", "");
    let if_exists = name.ends_with("IfExists");
    name = name.replace("IfExists", "");
    let negated = name.contains("Not");
    name = name.replace("Not", "");
    let Some(found) = found else {
        if if_exists {
            return true;
        }
        if every {
            return true;
        }
        if some {
            return false;
        }
        return negated;
    };
    let fits = |value: &String| {
        let matches = wanted.iter().any(|wanted| match fill(wanted, action, world) {
            Some(wanted) => compare(&name, value, &wanted),
            None => false,
        });
        matches != negated
    };
    match (every, negated) {
        // A negated operator without prefix: no value may match, so every one must fit.
        (true, _) => found.iter().all(fits),
        (false, true) if !some => found.iter().all(fits),
        (false, _) => found.iter().any(fits),
    }
}

fn compare(name: &str, found: &str, wanted: &[Ch]) -> bool {
    let plain: String = wanted.iter().map(|ch| ch.c).collect();
    let letters: Vec<char> = found.chars().collect();
    match name {
        "StringEquals" => plain == found,
        "StringEqualsIgnoreCase" => plain.to_lowercase() == found.to_lowercase(),
        "StringLike" => like(wanted, &letters),
        "Bool" => found.to_lowercase() == plain.to_lowercase() && (found == "true" || found == "false"),
        "NumericEquals" => numbers(found, &plain).is_some_and(|(a, b)| a == b),
        "NumericLessThan" => numbers(found, &plain).is_some_and(|(a, b)| a < b),
        "NumericGreaterThanEquals" => numbers(found, &plain).is_some_and(|(a, b)| a >= b),
        "DateEquals" => dates(found, &plain).is_some_and(|(a, b)| a == b),
        "DateLessThanEquals" => dates(found, &plain).is_some_and(|(a, b)| a <= b),
        "DateGreaterThan" => dates(found, &plain).is_some_and(|(a, b)| a > b),
        "IpAddress" => match (bits(found), plain.split_once('/')) {
            (Some(found), None) => bits(&plain) == Some(found),
            (Some(found), Some((network, length))) => bits(network).is_some_and(|network| {
                let length: usize = length.parse().unwrap();
                network.len() == found.len() && network[..length] == found[..length]
            }),
            (None, _) => false,
        },
        "ArnEquals" | "ArnLike" => {
            let parts: Vec<&str> = found.splitn(6, ':').collect();
            let is_colon = |ch: &Ch| *ch == Ch { c: ':', written: true };
            let patterns: Vec<&[Ch]> = wanted.splitn(6, is_colon).collect();
            parts.len() == 6
                && patterns.len() == 6
                && patterns.iter().zip(parts).all(|(pattern, part)| like(pattern, &part.chars().collect::<Vec<_>>()))
        }
        other => panic!("the slow evaluator does not know {other}"),
    }
}

fn numbers(a: &str, b: &str) -> Option<(f64, f64)> {
    Some((a.parse().ok()?, b.parse().ok()?))
}

/// The few dates the tests use.
fn dates(a: &str, b: &str) -> Option<(u64, u64)> {
    let date = |text: &str| match text {
        "2025" | "2025-01-01T00:00:00Z" | "1735689600" => Some(1_735_689_600),
        "2025-10-09T08:53:20Z" | "2025-10-09T10:53:20+02:00" | "1760000000" => Some(1_760_000_000),
        "2025-10-09T08:53:21Z" | "1760000001" => Some(1_760_000_001),
        "1" | "2" => text.parse().ok(),
        _ => None,
    };
    Some((date(a)?, date(b)?))
}

/// An address as the text of its bits.
fn bits(address: &str) -> Option<String> {
    if let Ok(address) = address.parse::<std::net::Ipv4Addr>() {
        return Some(address.octets().iter().map(|byte| format!("{byte:08b}")).collect());
    }
    let address = address.parse::<std::net::Ipv6Addr>().ok()?;
    Some(address.octets().iter().map(|byte| format!("{byte:08b}")).collect())
}
