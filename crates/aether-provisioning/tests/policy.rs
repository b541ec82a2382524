//! The policies printed for claims and devices: what they hold, how long they are, and that they match what
//! provisioning does.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use aether_mqtt::testing::{self, FakeBroker, PublishReaction};
use aether_mqtt::{Endpoint, ServerRoots};
use aether_provisioning::policy::{
    ClaimPolicy, CloudAccount, Detail, DevicePolicy, Encodings, KeyOrigins, Need, PolicyDocument,
};
use aether_provisioning::{Claim, IdentityStore, MemoryStore, provision};
use serde_json::{Value, json};

fn account() -> CloudAccount {
    CloudAccount::new("eu-west-1".parse().unwrap(), "123456789012".parse().unwrap())
}

fn claim() -> ClaimPolicy {
    ClaimPolicy::new(account(), "aether-line".parse().unwrap())
}

fn arns(tails: &[&str]) -> Vec<String> {
    tails.iter().map(|tail| format!("arn:aws:iot:eu-west-1:123456789012:{tail}")).collect()
}

#[track_caller]
fn read(document: &PolicyDocument) -> Value {
    assert!(document.as_str().ends_with("}\n"));
    assert!(document.as_str().chars().filter(|c| !c.is_whitespace()).count() <= PolicyDocument::MAX_CHARS);
    serde_json::from_str(document.as_str()).unwrap()
}

#[test]
fn a_claim_may_connect_as_a_claim_and_use_the_topics_of_two_operations() {
    let document = claim().document().unwrap();
    assert_eq!(document.detail(), Detail::Exact);
    let [create, register] =
        ["$aws/certificates/create/json", "$aws/provisioning-templates/aether-line/provision/json"];
    let answers = |kind: &str| {
        let both = [create, register].into_iter().flat_map(|base| {
            ["accepted", "rejected"].map(|answer| format!("arn:aws:iot:eu-west-1:123456789012:{kind}/{base}/{answer}"))
        });
        both.collect::<Vec<_>>()
    };
    let requests = arns(&[&format!("topic/{create}"), &format!("topic/{register}")]);
    let expected = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "iot:Connect", "Resource": arns(&["client/aether-claim-*"])[0] },
            { "Effect": "Allow", "Action": "iot:Publish", "Resource": requests },
            { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": answers("topicfilter") },
            { "Effect": "Allow", "Action": "iot:Receive", "Resource": answers("topic") },
        ],
    });
    assert_eq!(read(&document), expected);
    let order: Vec<_> = ["\"Version\"", "\"Statement\"", "\"Effect\"", "\"Action\"", "\"Resource\""]
        .map(|member| document.as_str().find(member).unwrap())
        .into();
    assert!(order.is_sorted(), "members in the order people write them: {document}");
}

#[test]
fn a_device_is_the_thing_it_is_attached_to_and_publishes_on_its_topic() {
    let expected = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "iot:Connect",
              "Resource": arns(&["client/${iot:Connection.Thing.ThingName}"])[0],
              "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": "true" } } },
            { "Effect": "Allow", "Action": "iot:Publish",
              "Resource": arns(&["topic/${iot:Connection.Thing.ThingName}"])[0] },
        ],
    });
    assert_eq!(read(&DevicePolicy::new(account()).document().unwrap()), expected);
}

#[test]
fn a_device_that_rotates_may_use_the_rotation_template_too() {
    let policy = DevicePolicy::new(account()).rotation("rotate".parse().unwrap()).key_origins(KeyOrigins::Csr);
    let document = read(&policy.document().unwrap());
    let published = arns(&[
        "topic/${iot:Connection.Thing.ThingName}",
        "topic/$aws/certificates/create-from-csr/json",
        "topic/$aws/provisioning-templates/rotate/provision/json",
    ]);
    assert_eq!(document["Statement"][1]["Resource"], json!(published));
    let statements = document["Statement"].as_array().unwrap();
    let actions: Vec<_> = statements.iter().map(|one| one["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive"]);
}

#[test]
fn the_operation_that_is_not_used_is_not_allowed() {
    let has = |origins, text: &str| claim().key_origins(origins).document().unwrap().as_str().contains(text);
    for (origins, create, csr) in
        [(KeyOrigins::Aws, true, false), (KeyOrigins::Csr, false, true), (KeyOrigins::Both, true, true)]
    {
        assert_eq!(has(origins, "topic/$aws/certificates/create/"), create, "{origins:?}");
        assert_eq!(has(origins, "topic/$aws/certificates/create-from-csr/"), csr, "{origins:?}");
    }
    let cbor = claim().encodings(Encodings::Cbor).document().unwrap();
    assert!(!cbor.as_str().contains("json") && cbor.as_str().contains("create/cbor/accepted"));
}

#[test]
fn wildcards_come_in_only_when_a_document_would_be_too_long() {
    let details = [
        (KeyOrigins::Aws, Encodings::Json, Detail::Exact),
        (KeyOrigins::Both, Encodings::Json, Detail::Exact),
        (KeyOrigins::Aws, Encodings::Both, Detail::AnswersByWildcard),
        (KeyOrigins::Both, Encodings::Both, Detail::AnswersByWildcard),
    ];
    for (origins, encodings, expected) in details {
        let document = claim().key_origins(origins).encodings(encodings).document().unwrap();
        read(&document);
        assert_eq!(document.detail(), expected, "{origins:?} {encodings:?}: {document}");
    }
    let gov = CloudAccount::new("us-gov-west-1".parse().unwrap(), "123456789012".parse().unwrap());
    let longest = ClaimPolicy::new(gov, "t".repeat(36).parse().unwrap());
    let document = longest.key_origins(KeyOrigins::Both).encodings(Encodings::Both).document().unwrap();
    read(&document);
    assert_eq!(document.detail(), Detail::OperationsByWildcard);
    assert!(document.as_str().contains("topicfilter/$aws/certificates/create-from-csr/*"));
}

#[test]
fn no_settings_there_are_make_a_document_that_aws_would_not_take() {
    let template = "t".repeat(36);
    let widest = || {
        let region = format!("us-gov-{}", "r".repeat(25)).parse().unwrap();
        CloudAccount::new(region, "123456789012".parse().unwrap())
    };
    let claim = ClaimPolicy::new(widest(), template.parse().unwrap()).client_ids("c".repeat(112).parse().unwrap());
    let device = DevicePolicy::new(widest()).rotation(template.parse().unwrap());
    for origins in [KeyOrigins::Aws, KeyOrigins::Csr, KeyOrigins::Both] {
        for encodings in [Encodings::Json, Encodings::Cbor, Encodings::Both] {
            read(&claim.clone().key_origins(origins).encodings(encodings).document().unwrap());
            read(&device.clone().key_origins(origins).encodings(encodings).document().unwrap());
        }
    }
}

#[test]
fn a_client_id_prefix_has_no_character_that_a_policy_reads_otherwise() {
    for good in ["claim-", "aether:claim.", &"c".repeat(112)] {
        assert!(claim().client_ids(good.parse().unwrap()).document().unwrap().as_str().contains(&format!("{good}*")));
    }
    for bad in ["", "*", "a?", "${iot:ClientId}", "a/b", "a b", "\"", &"c".repeat(113)] {
        assert!(bad.parse::<aether_provisioning::policy::ClientIdPrefix>().is_err(), "{bad}");
    }
}

/// What this crate itself does when it provisions is what its policy allows, and the policy allows nothing besides.
#[tokio::test(start_paused = true)]
async fn the_needs_of_a_claim_are_what_provisioning_does() {
    let broker = FakeBroker::new();
    broker.on_publish(|publish| {
        let accepted = format!("{}/accepted", publish.topic).parse().unwrap();
        let (certificate, key) = testing::self_signed("AWS IoT Certificate");
        let answer = match publish.topic.as_str().ends_with("create/json") {
            true => json!({ "certificateId": "c1", "certificatePem": certificate, "privateKey": key,
                            "certificateOwnershipToken": "t" }),
            false => json!({ "thingName": "line7-press3" }),
        };
        PublishReaction::acknowledge().reply(accepted, answer.to_string())
    });
    let endpoint = Endpoint::new("localhost", 8883).unwrap();
    let claim = Claim::new(endpoint, ServerRoots::mozilla(), testing::credentials("c"), "aether-line".parse().unwrap());
    let store: Arc<dyn IdentityStore> = Arc::new(MemoryStore::default());
    provision(&broker.connector(), &claim, &store, &|_| {}).await.unwrap();

    let needs = self::claim().needs();
    let of = |needs: &[Need], action: &str, kind: &str| -> BTreeSet<String> {
        let resources = needs.iter().filter(|need| need.action() == action).map(|need| need.resource().to_owned());
        let prefix = format!("arn:aws:iot:eu-west-1:123456789012:{kind}/");
        resources.map(|resource| resource.strip_prefix(&prefix).unwrap().to_owned()).collect()
    };
    assert_eq!(
        of(&needs, "iot:Publish", "topic"),
        broker.publishes().iter().map(|one| one.topic.to_string()).collect()
    );
    let subscribed = of(&needs, "iot:Subscribe", "topicfilter");
    assert_eq!(subscribed, broker.subscribes().iter().map(|one| one.filter.to_string()).collect());
    assert_eq!(subscribed, of(&needs, "iot:Receive", "topic"));
    let client_ids = of(&needs, "iot:Connect", "client");
    let prefix = "aether-claim-";
    assert!(client_ids.len() == 1 && client_ids.iter().all(|id| id.starts_with(prefix)));
    let connects = broker.connects();
    let (device, claims) = connects.split_last().unwrap();
    assert!(claims.iter().all(|one| one.client_id.as_str().starts_with(prefix)));
    assert_eq!(device.client_id.as_str(), "line7-press3", "which is for the device's policy to allow");
}
