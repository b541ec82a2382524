//! What an explanation says, on a terminal and as JSON.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use aether_iot_policy::{Action, Attachment, Context, Explanation, Policy, Request, Thing, explain};
use serde_json::{Value, json};

fn device() -> Policy {
    support::policy(
        r#"{"Sid":"Join","Effect":"Allow","Action":"iot:Connect","Resource":"~client/${iot:Connection.Thing.ThingName}",
            "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
           {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":["~topic/${iot:ClientId}","~topic/all/*"]},
           {"Effect":"Deny","NotAction":"iot:*","NotResource":"*"}"#,
    )
}

fn ask(action: Action, tail: &str, context: &Context) -> Explanation {
    explain(&[device()], &Request::new(action, &support::resource(tail), context))
}

#[test]
fn a_terminal_sees_each_part_and_why_a_variable_has_no_value() {
    let context = Context::new().with_client_id("laptop").with_thing(Thing::new("press-3"), Attachment::Shared);
    let expected = r#"iot:Connect on arn:aws:iot:eu-west-1:123456789012:client/laptop as client "laptop"
denied: no statement allows it

Allow p statement 0 "Join": does not apply
  yes Action      iot:Connect
  no  Resource    arn:aws:iot:eu-west-1:123456789012:client/${iot:Connection.Thing.ThingName}
                  ${iot:Connection.Thing.ThingName} has no value: the client id is not the name of the attached Thing
  no  Condition   Bool iot:Connection.Thing.IsAttached: found ["false"]
                  against true

Allow p statement 1: does not apply
  no  Action      - iot:Publish
                  - iot:Receive
  no  Resource    - arn:aws:iot:eu-west-1:123456789012:topic/${iot:ClientId} = arn:aws:iot:eu-west-1:123456789012:topic/laptop
                  - arn:aws:iot:eu-west-1:123456789012:topic/all/*

Deny p statement 2: does not apply
  no  NotAction   iot:*
  no  NotResource *
"#;
    assert_eq!(ask(Action::Connect, "client/laptop", &context).to_string(), expected);
}

#[test]
fn the_deciding_statement_is_named() {
    let context = Context::new().with_client_id("press-3");
    let explanation = ask(Action::Publish, "topic/press-3", &context);
    assert!(explanation.to_string().contains("\nallowed by p statement 1\n"), "{explanation}");
    assert_eq!(explanation.decided_by, Some(1));
}

#[test]
fn json_says_the_same() {
    let context = Context::new().with_client_id("press-3").with_thing(Thing::new("press-3"), Attachment::Shared);
    let said: Value = serde_json::from_str(&ask(Action::Connect, "client/press-3", &context).to_json()).unwrap();
    assert_eq!(said["action"], "iot:Connect");
    assert_eq!(said["clientId"], "press-3");
    assert_eq!(said["allowed"], true);
    assert_eq!(said["decision"], "ALLOWED");
    assert_eq!(said["decidedBy"], json!({"policy": "p", "statement": 0, "sid": "Join"}));
    let first = &said["statements"][0];
    assert_eq!(first["effect"], "Allow");
    assert_eq!(first["applies"], true);
    assert_eq!(first["resource"]["element"], "Resource");
    let substituted = "arn:aws:iot:eu-west-1:123456789012:client/press-3";
    assert_eq!(first["resource"]["values"][0]["substituted"], substituted);
    assert_eq!(
        first["conditions"][0],
        json!({
            "operator": "Bool", "key": "iot:Connection.Thing.IsAttached", "matched": true, "found": ["true"],
            "missing": null,
            "expected": [{"written": "true", "substituted": "true", "unresolved": [], "matched": null}],
        })
    );
    let said: Value = serde_json::from_str(&ask(Action::Connect, "client/x", &Context::new()).to_json()).unwrap();
    assert_eq!(said["decidedBy"], Value::Null);
    assert_eq!(said["clientId"], Value::Null);
    assert_eq!(
        said["statements"][0]["resource"]["values"][0]["unresolved"],
        json!([{"variable": "iot:Connection.Thing.ThingName", "why": "no Thing belongs to the connection"}])
    );
}

#[test]
fn a_client_cannot_write_to_the_terminal() {
    let context = Context::new().with_client_id("a\u{1b}[2J");
    let shown = ask(Action::Publish, "topic/a\u{1b}[2Jb\nallowed by p", &context).to_string();
    assert!(!shown.contains('\u{1b}'), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("allowed")).count(), 0, "{shown}");
}
