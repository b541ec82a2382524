//! The control plane: what policies would decide, messages published over HTTP, and hostile requests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use support::http::{Plane, text};

fn arn(tail: &str) -> String {
    format!("arn:aws:iot:eu-west-1:123456789012:{tail}")
}

/// A certificate with a policy: publish on the Thing's own topic, nothing on `secret`.
async fn press(plane: &Plane) -> String {
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "iot:Publish", "Resource": arn("topic/${iot:Connection.Thing.ThingName}/*") },
        { "Effect": "Deny", "Action": "iot:Publish", "Resource": arn("topic/*/secret") },
    ] });
    plane.post("/policies/press", json!({ "policyDocument": document.to_string() })).await.ok();
    let made = plane.post("/keys-and-certificate?setAsActive=true", json!({})).await.ok();
    let certificate = text(&made, "certificateArn");
    plane.put("/target-policies/press", json!({ "target": certificate })).await.ok();
    plane.post("/things/press-3", json!({})).await.ok();
    plane.ask("PUT", "/things/press-3/principals", &[("x-amzn-principal", &certificate)], "").await.ok();
    certificate
}

async fn decided(plane: &Plane, client_id: &str, mut request: Value, topics: &[&str]) -> Value {
    let resources: Vec<_> = topics.iter().map(|topic| arn(&format!("topic/{topic}"))).collect();
    request["authInfos"] = json!([{ "actionType": "PUBLISH", "resources": resources }]);
    let body = plane.post(&format!("/test-authorization?clientId={client_id}"), request).await.ok();
    body["authResults"][0].clone()
}

#[tokio::test]
async fn authorization_is_tested_as_the_broker_would_decide() {
    let plane = Plane::start().await;
    let principal = json!({ "principal": press(&plane).await });
    let own = decided(&plane, "press-3", principal.clone(), &["press-3/data"]).await;
    assert_eq!(own["authDecision"], "ALLOWED");
    assert_eq!(own["allowed"]["policies"][0]["policyName"], "press");
    let both = decided(&plane, "press-3", principal.clone(), &["press-3/data", "press-3/secret"]).await;
    assert_eq!(both["authDecision"], "EXPLICIT_DENY");
    assert_eq!(both["denied"]["explicitDeny"]["policies"][0]["policyArn"], arn("policy/press"));
    let other = decided(&plane, "press-4", principal.clone(), &["press-3/data"]).await;
    assert_eq!(other["authDecision"], "IMPLICIT_DENY");
    assert_eq!(other["missingContextValues"], json!(["iot:Connection.Thing.ThingName"]));

    let skipped = json!({ "principal": principal["principal"], "policyNamesToSkip": ["press"] });
    assert_eq!(decided(&plane, "press-3", skipped, &["press-3/data"]).await["authDecision"], "IMPLICIT_DENY");
    let all =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iot:*", "Resource": "*" } });
    plane.post("/policies/all", json!({ "policyDocument": all.to_string() })).await.ok();
    let added = json!({ "policyNamesToAdd": ["all"] });
    assert_eq!(decided(&plane, "x", added, &["anything"]).await["authDecision"], "ALLOWED");

    let effective = plane.post("/effective-policies?thingName=press-3", principal).await.ok();
    assert_eq!(effective["effectivePolicies"][0]["policyName"], "press");
    for bad in [
        json!({ "authInfos": [] }),
        json!({ "authInfos": [{ "actionType": "EAT", "resources": ["*"] }] }),
        json!({ "authInfos": [{ "actionType": "PUBLISH", "resources": [] }] }),
        json!({ "authInfos": [{ "actionType": "PUBLISH", "resources": ["x"] }] }),
    ] {
        plane.post("/test-authorization", bad).await.refused(400, "InvalidRequestException");
    }
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn policies_of_groups_count_for_their_things() {
    let plane = Plane::start().await;
    let certificate = press(&plane).await;
    let all =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iot:*", "Resource": "*" } });
    plane.post("/policies/all", json!({ "policyDocument": all.to_string() })).await.ok();
    plane.post("/thing-groups/plant", json!({})).await.ok();
    plane.put("/target-policies/all", json!({ "target": arn("thinggroup/plant") })).await.ok();
    let member = json!({ "thingGroupName": "plant", "thingName": "press-3" });
    plane.put("/thing-groups/addThingToThingGroup", member).await.ok();
    let request = json!({ "principal": certificate });
    assert_eq!(decided(&plane, "press-3", request.clone(), &["anything"]).await["authDecision"], "ALLOWED");
    assert_eq!(decided(&plane, "other", request, &["anything"]).await["authDecision"], "IMPLICIT_DENY");
    let found = plane.post("/effective-policies?thingName=press-3", json!({})).await.ok();
    assert_eq!(found["effectivePolicies"][0]["policyName"], "all");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_message_published_over_http_reaches_subscribers_and_can_be_retained() {
    let plane = Plane::start().await;
    let mut observer = support::observer(&plane.sandbox, "line/#").await;
    plane.ask("POST", "/topics/line%2F7?qos=1&retain=true", &[], "25.0").await.ok();
    let message = support::next(&mut observer).await;
    assert_eq!((message.topic.as_str(), &*message.payload), ("line/7", &b"25.0"[..]));
    let kept = plane.get("/retainedMessage/line%2F7").await.ok();
    assert_eq!((&kept["payload"], &kept["qos"]), (&json!("MjUuMA=="), &json!(1)));
    assert!(kept["lastModifiedTime"].as_u64().unwrap() > 1_700_000_000_000);
    let listed = plane.get("/retainedMessage").await.ok();
    assert_eq!(
        (&listed["retainedTopics"][0]["topic"], &listed["retainedTopics"][0]["payloadSize"]),
        (&json!("line/7"), &json!(4))
    );
    plane.get("/retainedMessage/none").await.refused(404, "ResourceNotFoundException");
    for bad in ["/topics/a%2F%23", "/topics/a?qos=2", "/topics/%24aws?retain=true", "/topics/a?retain=x"] {
        plane.ask("POST", bad, &[], "x").await.refused(400, "InvalidRequestException");
    }
    let big = "x".repeat(128 * 1024 + 1);
    plane.ask("POST", "/topics/a", &[], &big).await.refused(400, "InvalidRequestException");
    plane.ask("POST", "/topics/a?contentType=x", &[], "").await.refused(501, "NotImplementedException");
    plane.delete("/connections/observer-6").await.ok();
    support::closed(&observer).await;
    plane.delete("/connections/observer-6").await.refused(404, "ResourceNotFoundException");
    plane.sandbox.shutdown().await;
}

/// Every method and path of the table, with values that exist and values that do not.
fn targets() -> Vec<(&'static str, String)> {
    let names = ["bridge", "a%20b", "%F0%9F%A6%80", "arn:aws:iot:eu-west-1:123456789012:cert%2Fx", "0"];
    let paths = [
        "/attached-policies/{}",
        "/billing-groups",
        "/billing-groups/{}",
        "/billing-groups/{}/things",
        "/billing-groups/addThingToBillingGroup",
        "/billing-groups/removeThingFromBillingGroup",
        "/cacertificate",
        "/cacertificate/{}",
        "/cacertificates",
        "/certificate/register",
        "/certificate/register-no-ca",
        "/certificates",
        "/certificates-by-ca/{}",
        "/certificates/{}",
        "/connections/{}",
        "/effective-policies",
        "/endpoint",
        "/keys-and-certificate",
        "/policies",
        "/policies/{}",
        "/policies/{}/version",
        "/policies/{}/version/{}",
        "/policy-principals",
        "/policy-targets/{}",
        "/principal-policies",
        "/principal-policies/{}",
        "/principals/things",
        "/principals/things-v2",
        "/provisioning-templates",
        "/provisioning-templates/{}",
        "/provisioning-templates/{}/provisioning-claim",
        "/provisioning-templates/{}/versions",
        "/provisioning-templates/{}/versions/{}",
        "/registrationcode",
        "/retainedMessage",
        "/retainedMessage/{}",
        "/tags",
        "/target-policies/{}",
        "/test-authorization",
        "/thing-groups",
        "/thing-groups/{}",
        "/thing-groups/{}/things",
        "/thing-groups/addThingToThingGroup",
        "/thing-groups/removeThingFromThingGroup",
        "/thing-groups/updateThingGroupsForThing",
        "/thing-types",
        "/thing-types/{}",
        "/thing-types/{}/deprecate",
        "/things",
        "/things/{}",
        "/things/{}/principals",
        "/things/{}/principals-v2",
        "/things/{}/thing-groups",
        "/topics/{}",
        "/untag",
    ];
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let filled = |path: &str, name: &str| path.replace("{}", name);
    let each = paths.iter().flat_map(|path| names.iter().map(move |name| filled(path, name)));
    each.flat_map(|path| methods.iter().map(move |method| (*method, path.clone()))).collect()
}

/// Bodies shaped like those of operations, with anything in them.
fn body() -> impl Strategy<Value = Value> {
    let member = prop::sample::select(vec![
        "policyDocument",
        "tags",
        "target",
        "certificatePem",
        "caCertificate",
        "verificationCertificate",
        "certificateMode",
        "registrationConfig",
        "status",
        "attributePayload",
        "thingTypeName",
        "thingName",
        "thingGroupName",
        "thingGroupProperties",
        "expectedVersion",
        "templateName",
        "templateBody",
        "provisioningRoleArn",
        "type",
        "preProvisioningHook",
        "parameters",
        "principal",
        "authInfos",
        "resourceArn",
        "tagKeys",
        "certificateSigningRequest",
        "merge",
        "attributes",
        "resources",
        "actionType",
        "Key",
        "Value",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        Just(json!("arn:aws:iot:eu-west-1:123456789012:thinggroup/bridge")),
        Just(json!("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((member.clone(), inner), 0..6).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn no_body_on_any_path_is_a_failure_of_the_server(bodies in prop::collection::vec(body(), 24), from in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let plane = Plane::start().await;
            let targets = targets();
            let start = from.index(targets.len());
            for (number, (method, target)) in targets.iter().cycle().skip(start).take(targets.len() / 6).enumerate() {
                let text = bodies[number % bodies.len()].to_string();
                let query = if number % 3 == 0 { "?pageSize=x&maxResults=1&newStatus=&setAsActive=true&qos=1" } else { "" };
                let headers = [("x-amzn-principal", "x"), ("x-amzn-iot-principal", "x"), ("x-amzn-iot-policy", "x")];
                let answer = plane.ask(method, &format!("{target}{query}"), &headers, &text).await;
                assert!(answer.status < 500 || answer.status == 501, "{method} {target} {text}: {}", answer.text);
            }
            plane.sandbox.shutdown().await;
        });
    }
}
