//! The evaluator against a slow and obvious one, on random documents and requests over a small alphabet.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/slow.rs"]
mod slow;

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use aether_iot_policy::{
    Action, AlternativeName, Attachment, Certificate, Context, Document, NameAttribute, Policy, Request, Thing,
    evaluate, explain,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use slow::{World, WorldThing};

const START: &str = "arn:aws:iot:eu-west-1:123456789012:";

const VARIABLES: &[&str] = &[
    "iot:ClientId",
    "aws:SourceIp",
    "aws:CurrentTime",
    "aws:EpochTime",
    "iot:Connection.Thing.ThingName",
    "iot:Connection.Thing.ThingTypeName",
    "iot:Connection.Thing.Attributes[n]",
    "iot:Connection.Thing.Attributes[m]",
    "iot:Connection.Thing.IsAttached",
    "iot:Certificate.Subject.CommonName",
    "iot:Certificate.Subject.CommonName.1",
    "iot:Certificate.Subject.CommonName.5",
    "iot:Certificate.Subject.CommonName.List",
    "iot:Certificate.Issuer.Country",
    "iot:Certificate.Subject.AlternativeName.DNSName",
    "iot:Certificate.Subject.AlternativeName.DNSName.List",
    "iot:Certificate.SerialNumber",
    "iot:ConnectAttributes",
    "iot:LastWillTopic",
    "iot:DomainName",
];

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(&["a", "b", "/", "+", "#", "é", ":"][..]).prop_map(str::to_owned),
        3 => select(&["*", "?"][..]).prop_map(str::to_owned),
        2 => select(VARIABLES).prop_map(|name| format!("${{{name}}}")),
        1 => select(&["${*}", "${?}", "${$}"][..]).prop_map(str::to_owned),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    vec(piece(), 0..5).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = String> {
    let values = ["a", "b", "ab", "a/b", "a*", "a+b", "a,b", "é", "", "a:b", "1", "A"];
    prop_oneof![20 => select(values.to_vec()).prop_map(str::to_owned), 1 => (1024..1026usize).prop_map(|n| "a".repeat(n))]
}

fn resource_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just("*".to_owned()),
        1 => pattern().prop_map(|tail| format!("arn:{tail}*")),
        8 => (select(&["client/", "topic/", "topicfilter/", "t*/", ""][..]), pattern())
            .prop_map(|(kind, tail)| format!("{START}{kind}{tail}")),
    ]
}

fn condition() -> impl Strategy<Value = (String, String, Value)> {
    let key = select(VARIABLES).prop_map(str::to_owned);
    let names = |names: &'static [&'static str]| {
        (select(&["", "ForAllValues:", "ForAnyValue:"][..]), select(names), select(&["", "IfExists"][..]))
            .prop_map(|(prefix, name, suffix)| format!("{prefix}{name}{suffix}"))
    };
    let texts = names(&[
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringNotLike",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
    ]);
    let text = prop_oneof![pattern(), value(), select(&["PersistentConnect", "LastWill"][..]).prop_map(str::to_owned)];
    let numbers = names(&["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEquals"]);
    let dates = names(&["DateEquals", "DateNotEquals", "DateLessThanEquals", "DateGreaterThan"]);
    let some = |values: &'static [&'static str]| vec(select(values), 1..3).prop_map(|values| json!(values));
    prop_oneof![
        4 => (texts, key.clone(), vec(text, 1..3).prop_map(|values| json!(values))),
        1 => (numbers, key.clone(), some(&["1", "1.0", "2", "${iot:ClientId}"])),
        1 => (dates, key.clone(), some(&["2025", "2025-10-09T10:53:20+02:00", "1760000001", "${aws:CurrentTime}"])),
        1 => (names(&["Bool"]), key.clone(), some(&["true", "false", "${iot:Connection.Thing.IsAttached}"])),
        1 => (names(&["IpAddress", "NotIpAddress"]), key.clone(),
              some(&["192.0.2.0/24", "192.0.2.7", "0.0.0.0/0", "2001:db8::/33", "::/0", "${aws:SourceIp}"])),
        1 => (names(&["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"]), key.clone(),
              vec(prop_oneof![
                  pattern().prop_map(|tail| format!("arn:aws:*:eu-west-1:*:topic/{tail}")),
                  pattern().prop_map(|part| format!("arn:aws:iot:{part}:123456789012:*")),
              ], 1..3).prop_map(|values| json!(values)).prop_filter("too few parts", six_parts)),
        1 => (Just("Null".to_owned()), key, select(vec![json!("true"), json!(false)])),
    ]
}

/// The colons of a variable's own name aside, an ARN to compare with needs five.
fn six_parts(values: &Value) -> bool {
    Document::parse(&document_of(json!({"ArnLike": {"k": values}}))).is_ok()
}

fn document_of(condition: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}})
        .to_string()
}

fn statement() -> impl Strategy<Value = Value> {
    let actions = ["*", "iot:*", "iot:Connect", "IOT:publish", "iot:*Publish", "iot:Re?eive", "iot:Subscribe", "x:Y"];
    (
        select(&["Allow", "Allow", "Allow", "Deny"][..]),
        (prop::bool::weighted(0.1), vec(select(actions.to_vec()), 1..3)),
        (prop::bool::weighted(0.1), vec(resource_pattern(), 1..3)),
        prop_oneof![1 => vec(condition(), 0..1), 2 => vec(condition(), 1..3)],
    )
        .prop_map(|(effect, (not_action, actions), (not_resource, resources), conditions)| {
            let mut condition = serde_json::Map::new();
            for (operator, key, values) in conditions {
                condition.entry(operator).or_insert_with(|| json!({}))[key] = values;
            }
            let mut statement = json!({"Effect": effect, "Condition": condition});
            statement[if not_action { "NotAction" } else { "Action" }] = json!(actions);
            statement[if not_resource { "NotResource" } else { "Resource" }] = json!(resources);
            statement
        })
}

fn world() -> impl Strategy<Value = World> {
    let address = select(&["192.0.2.7", "192.0.3.1", "2001:db8::5", "2001:db8:8000::5"][..]).prop_map(str::to_owned);
    let attributes = btree_map(select(&["n", "m"][..]).prop_map(str::to_owned), value(), 0..3);
    let thing = (value(), option::of(value()), attributes, any::<bool>(), any::<bool>()).prop_map(
        |(name, kind, attributes, attached, exclusive)| WorldThing { name, kind, attributes, attached, exclusive },
    );
    let fields = ["Subject.CommonName", "Subject.CommonName", "Issuer.Country", "Subject.AlternativeName.DNSName"];
    let certificate = vec((select(fields.to_vec()).prop_map(str::to_owned), value()), 0..9);
    let times = [
        (1_735_689_600, "2025-01-01T00:00:00Z"),
        (1_760_000_000, "2025-10-09T08:53:20Z"),
        (1_760_000_001, "2025-10-09T08:53:21Z"),
    ];
    let time = select(times.to_vec()).prop_map(|(seconds, text)| (seconds, text.to_owned()));
    (
        (option::weighted(0.9, value()), option::of(address), option::of(thing), option::of(certificate)),
        option::of(Just("4f2a".to_owned())),
        any::<bool>(),
        option::of(select(&["a", "b", "a:b"][..]).prop_map(|topic| format!("{START}topic/{topic}"))),
        option::of(time),
        any::<bool>(),
    )
        .prop_map(|((client_id, source_ip, mut thing, certificate), serial, persistent, will, time, same)| {
            // Half of the Things are called like the client, or too few would resolve.
            if let (true, Some(thing), Some(client_id)) = (same, &mut thing, &client_id) {
                thing.name.clone_from(client_id);
            }
            World { client_id, source_ip, thing, certificate, serial, persistent, will, time }
        })
}

fn context(world: &World) -> Context {
    let mut context = Context::new();
    if let Some(client_id) = &world.client_id {
        context = context.with_client_id(client_id);
    }
    if let Some(address) = &world.source_ip {
        context = context.with_source_ip(address.parse().unwrap());
    }
    if let Some(known) = &world.thing {
        let attachment = match (known.attached, known.exclusive) {
            (false, _) => Attachment::None,
            (true, false) => Attachment::Shared,
            (true, true) => Attachment::Exclusive,
        };
        let mut thing = Thing::new(&known.name);
        if let Some(kind) = &known.kind {
            thing = thing.with_type(kind);
        }
        for (name, value) in &known.attributes {
            thing = thing.with_attribute(name, value);
        }
        context = context.with_thing(thing, attachment);
    }
    if let Some(fields) = &world.certificate {
        let mut certificate = Certificate::new();
        for (field, value) in fields {
            certificate = match field.as_str() {
                "Subject.CommonName" => certificate.with_subject(NameAttribute::CommonName, value),
                "Issuer.Country" => certificate.with_issuer(NameAttribute::Country, value),
                _ => certificate.with_subject_alternative(AlternativeName::DNSName, value),
            };
        }
        if let Some(serial) = &world.serial {
            certificate = certificate.with_serial_number(serial);
        }
        context = context.with_certificate(certificate);
    }
    if world.persistent {
        context = context.with_persistent_session();
    }
    if let Some(will) = &world.will {
        context = context.with_last_will(&will.parse().unwrap());
    }
    context
}

fn question() -> impl Strategy<Value = (Action, String)> {
    use Action::{Connect, Publish, Receive, RetainPublish, Subscribe};
    let action = select(&[Connect, Connect, Publish, RetainPublish, Receive, Subscribe][..]);
    let name = vec(select(&["a", "b", "/", "+", "*", "é", ":", "true"][..]), 0..4).prop_map(|parts| parts.concat());
    (action, prop_oneof![name, value()])
        .prop_map(|(action, name)| (action, format!("{START}{}/{name}", action.resource_type().unwrap())))
}

/// One comparison; tells the outcome, so that the run can be held to have seen each often enough.
fn compare(documents: &[Value], action: Action, resource: &str, world: &World) -> Result<&'static str, TestCaseError> {
    let policies: Vec<Policy> = documents
        .iter()
        .enumerate()
        .map(|(n, document)| Policy::new(n.to_string(), Document::parse(&document.to_string()).unwrap()))
        .collect();
    let expected = slow::decide(documents, action.as_str(), resource, world);
    let (resource, context) = (resource.parse().unwrap(), context(world));
    let mut request = Request::new(action, &resource, &context);
    if let Some((seconds, _)) = &world.time {
        request = request.at(UNIX_EPOCH + Duration::from_secs(*seconds));
    }
    let decision = evaluate(&policies, &request);
    let explanation = explain(&policies, &request);
    let found = match decision.kind().as_str() {
        "ALLOWED" => "allow",
        "EXPLICIT_DENY" => "deny",
        _ => "none",
    };
    prop_assert_eq!(found, expected, "{}\n{:#?}\n{}", explanation, world, json!(documents));
    let by = explanation.decided_by.map(|at| &explanation.statements[at]).map(|by| (by.policy.as_str(), by.index));
    prop_assert_eq!(by, decision.decided_by().map(|by| (by.policy, by.statement)), "{}", explanation);
    Ok(expected)
}

#[test]
fn the_evaluator_agrees_with_the_slow_one() {
    let documents = vec(vec(statement(), 1..4), 1..3).prop_map(|documents| {
        documents.into_iter().map(|list| json!({"Version": "2012-10-17", "Statement": list})).collect::<Vec<_>>()
    });
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) };
    let seen = std::cell::RefCell::new(BTreeMap::new());
    TestRunner::new(config)
        .run(&(documents, vec((question(), world()), 8)), |(documents, asked)| {
            for ((action, resource), world) in asked {
                let outcome = compare(&documents, action, &resource, &world)?;
                *seen.borrow_mut().entry(outcome).or_insert(0) += 1;
            }
            Ok(())
        })
        .unwrap();
    let seen = seen.into_inner();
    for outcome in ["allow", "deny", "none"] {
        assert!(seen.get(outcome).is_some_and(|count| *count > 300), "too few of {outcome}: {seen:?}");
    }
}

/// Random documents seldom ask for the very value a connection has; here nearly every one does.
#[test]
fn the_evaluator_agrees_with_the_slow_one_on_single_variables_and_networks() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) };
    let certificate = vec((Just("Subject.CommonName".to_owned()), value()), 4..8);
    let world = (world(), certificate).prop_map(|(world, fields)| World { certificate: Some(fields), ..world });
    let network = select(vec!["192.0.2.7", "192.0.2.0/29", "192.0.2.8/29", "2001:db8::5", "2001:db8::/33", "::/0"]);
    TestRunner::new(config)
        .run(&(select(VARIABLES), world, value(), network), |(variable, world, value, network)| {
            let allow = |resource: String, condition: Value| {
                json!([{"Effect": "Allow", "Action": "*", "Resource": resource, "Condition": condition}])
            };
            let by_resource = allow(format!("{START}topic/${{{variable}}}"), json!({}));
            let by_key = allow("*".to_owned(), json!({"StringEquals": {variable: value.replace(',', "\\,")}}));
            let by_network = allow("*".to_owned(), json!({"IpAddress": {"aws:SourceIp": network}}));
            let mut names = vec![value.replace(',', "\\,"), value];
            // What stands in the certificate, as it is and as it is compared.
            for (_, own) in world.certificate.iter().flatten() {
                names.extend([own.clone(), own.replace(',', "\\,")]);
            }
            for statements in [by_resource, by_key, by_network] {
                let document = [json!({"Version": "2012-10-17", "Statement": statements})];
                for name in &names {
                    compare(&document, Action::Publish, &format!("{START}topic/{name}"), &world)?;
                }
            }
            Ok(())
        })
        .unwrap();
}
