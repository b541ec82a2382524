//! The policies of the guides Aether started from, with requests and what AWS would say to them.
//!
//! `data/` holds them with placeholders filled in. `blog-device.json` lost its lists of actions in the
//! copy at hand; they are restored from the sentence above it. `sheet-claim.json` is the reference
//! sheet's own (section 1.7).

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use aether_iot_policy::Action::{self, Connect, Publish, Receive, RetainPublish, Subscribe};
use aether_iot_policy::{Attachment, Context, Document, Policy, Thing};
use support::check;

#[track_caller]
fn read(name: &str) -> Policy {
    let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    Document::check_size(&text).unwrap();
    Policy::new("p", Document::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// `name` asks as a client that is no Thing.
#[track_caller]
fn rows(policy: &Policy, client_id: &str, rows: &[(Action, &str, bool)]) {
    let context = Context::new().with_client_id(client_id);
    for (action, tail, allowed) in rows {
        check(policy, *action, tail, &context, *allowed);
    }
}

/// `name` asks as the Thing of that name.
#[track_caller]
fn thing_rows(policy: &Policy, name: &str, rows: &[(Action, &str, bool)]) {
    let context = Context::new().with_client_id(name).with_thing(Thing::new(name), Attachment::Shared);
    for (action, tail, allowed) in rows {
        check(policy, *action, tail, &context, *allowed);
    }
}

#[test]
fn the_claim_policies_allow_provisioning_by_their_template_and_nothing_else() {
    for (name, template) in [
        ("aether-claim", "Aether"),
        ("device-client-claim", "FPTemplateName"),
        ("esp32-claim", "esp32_fleet_prov_template"),
    ] {
        let policy = read(name);
        let own = format!("$aws/provisioning-templates/{template}/provision/json");
        rows(
            &policy,
            "claim-7",
            &[
                (Connect, "client/claim-7", true),
                (Connect, "client/anybody", true),
                (Subscribe, "topicfilter/$aws/certificates/create/json/accepted", true),
                (Subscribe, "topicfilter/$aws/certificates/create/json/rejected", true),
                (Subscribe, "topicfilter/$aws/certificates/create/#", true),
                (Subscribe, "topicfilter/$aws/certificates/#", false),
                (Subscribe, "topicfilter/#", false),
                (Publish, "topic/$aws/certificates/create/json", true),
                (Publish, "topic/$aws/certificates/create/cbor", true),
                (Receive, "topic/$aws/certificates/create/json/accepted", true),
                (RetainPublish, "topic/$aws/certificates/create/json", false),
                // The trap of section 1.7: the star comes after the slash.
                (Publish, "topic/$aws/certificates/create-from-csr/json", false),
                (Subscribe, "topicfilter/$aws/certificates/create-from-csr/json/accepted", false),
                (Publish, &format!("topic/{own}"), true),
                (Subscribe, &format!("topicfilter/{own}/accepted"), true),
                (Receive, &format!("topic/{own}/rejected"), true),
                (Publish, "topic/$aws/provisioning-templates/Other/provision/json", false),
                (Publish, "topic/claim-7", false),
                (Receive, "topic/claim-7", false),
            ],
        );
    }
}

#[test]
fn the_claim_policy_of_the_sheet_covers_csrs_and_its_own_client_ids() {
    rows(
        &read("sheet-claim"),
        "claim-P3-00017",
        &[
            (Connect, "client/claim-P3-00017", true),
            (Connect, "client/line7-press3", false),
            (Publish, "topic/$aws/certificates/create/json", true),
            (Publish, "topic/$aws/certificates/create-from-csr/cbor", true),
            (Receive, "topic/$aws/certificates/create-from-csr/json/accepted", true),
            (Subscribe, "topicfilter/$aws/certificates/create-from-csr/json/accepted", true),
            (Publish, "topic/$aws/provisioning-templates/aether-line/provision/cbor", true),
            (Publish, "topic/$aws/provisioning-templates/aether-line2/provision/cbor", false),
            (Publish, "topic/line7-press3", false),
        ],
    );
}

#[test]
fn the_device_policy_of_aether_ties_every_topic_to_the_client_id() {
    rows(
        &read("aether-device"),
        "aether-7",
        &[
            (Connect, "client/aether-7", true),
            (Connect, "client/aether-8", false),
            (Publish, "topic/aether-7", true),
            (Publish, "topic/aether-7/x", false),
            (Publish, "topic/aether-8", false),
            (RetainPublish, "topic/aether-7", false),
            (Subscribe, "topicfilter/aether-7/#", true),
            (Subscribe, "topicfilter/aether-7/sigils/+/write", true),
            (Subscribe, "topicfilter/aether-7", false),
            (Subscribe, "topicfilter/+/sigils", false),
            (Subscribe, "topicfilter/#", false),
            (Receive, "topic/aether-7/sigils/a/write", true),
            (Receive, "topic/aether-7", false),
            (Receive, "topic/aether-8/sigils/a/write", false),
        ],
    );
    // A client that may call itself + reads everyone's topics: the sheet's warning in 3.3.
    rows(&read("aether-device"), "+", &[(Connect, "client/+", true), (Subscribe, "topicfilter/+/x", true)]);
}

#[test]
fn the_esp32_fleet_policy_allows_four_actions_on_anything_of_the_account() {
    rows(
        &read("esp32-fleet"),
        "esp",
        &[
            (Connect, "client/esp", true),
            (Publish, "topic/any/thing", true),
            (Subscribe, "topicfilter/#", true),
            (Receive, "topic/any", true),
            (RetainPublish, "topic/any", false),
            (Action::GetThingShadow, "thing/esp", false),
            (Publish, "*", false),
        ],
    );
    let elsewhere = "arn:aws:iot:eu-west-1:999999999999:topic/a".parse().unwrap();
    let context = Context::new().with_client_id("esp");
    let kind = support::decide(&[read("esp32-fleet")], Publish, &elsewhere, &context);
    assert_eq!(kind, aether_iot_policy::DecisionKind::ImplicitDeny);
}

#[test]
fn the_bridge_policy_allows_all_there_is() {
    for action in Action::ALL {
        let resource = support::arns().for_action(*action, "any/thing");
        let kind = support::decide(&[read("mosquitto-bridge")], *action, &resource, &Context::new());
        assert_eq!(kind, aether_iot_policy::DecisionKind::Allowed, "{action}");
    }
}

#[test]
fn the_device_policy_of_the_blog_needs_the_thing_name_as_client_id() {
    let policy = read("blog-device");
    thing_rows(
        &policy,
        "press-3",
        &[
            (Connect, "client/press-3", true),
            (Connect, "client/press-4", false),
            (Subscribe, "topicfilter/my/topic", true),
            (Subscribe, "topicfilter/my/+", false),
            (Subscribe, "topicfilter/my/topic/#", false),
            (Receive, "topic/my/topic", true),
            (Receive, "topic/my/topic2", false),
            (Publish, "topic/my/topic", false),
        ],
    );
    rows(&policy, "press-3", &[(Connect, "client/press-3", false), (Receive, "topic/my/topic", true)]);
}

#[test]
fn the_device_policy_of_the_device_client_stays_within_the_things_reserved_topics() {
    // Printed with a Region and an account of its own.
    let policies = [read("device-client-device")];
    let name = "FPTemplateName-0a1b";
    let attached = Context::new().with_client_id(name).with_thing(Thing::new(name), Attachment::Shared);
    for (action, tail, allowed) in [
        (Connect, format!("client/{name}"), true),
        (Connect, "client/other".to_owned(), false),
        (Publish, format!("topic/$aws/things/{name}/shadow/update"), true),
        (Receive, format!("topic/$aws/things/{name}/jobs/notify"), true),
        (Subscribe, format!("topicfilter/$aws/things/{name}/jobs/+/get/accepted"), true),
        (Subscribe, "topicfilter/$aws/things/+/jobs/notify".to_owned(), false),
        (Publish, "topic/$aws/things/other/shadow/update".to_owned(), false),
        (Publish, name.to_owned(), false),
        (RetainPublish, format!("topic/$aws/things/{name}/x"), false),
    ] {
        let resource = format!("arn:aws:iot:us-east-1:1234567890:{tail}").parse().unwrap();
        let decide = |context| support::decide(&policies, action, &resource, context);
        assert_eq!(decide(&attached) == aether_iot_policy::DecisionKind::Allowed, allowed, "{action} {tail}");
        let detached = Context::new().with_client_id(name).with_thing(Thing::new(name), Attachment::None);
        assert_eq!(decide(&detached), aether_iot_policy::DecisionKind::ImplicitDeny, "{action} {tail}");
    }
}
