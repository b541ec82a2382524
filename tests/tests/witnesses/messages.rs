//! Shared subscriptions, retained messages, last wills and lifecycle events, seen by Mosquitto's clients.

use std::collections::BTreeSet;

use aether_tests::boto3::Boto3;
use aether_tests::foreign::Mqtt;
use aether_tests::paho::{Connect, Paho};
use aether_tests::program::{Program, Stream};
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::support::{SOON, certificate};

#[test]
fn the_members_of_a_shared_subscription_split_the_messages() {
    let ground = Ground::new();
    let member = |mqtt, client_id, filter| {
        // What all of them get, the last of the messages of one publisher, tells that nothing more is under way.
        ground.mosquitto_sub(mqtt, &["-i", client_id, "-t", filter, "-t", "end", "-F", "GOT %t %p"])
    };
    let one = member(Mqtt::V3_1_1, "worker-1", "$share/workers/jobs/#");
    let two = member(Mqtt::V5, "worker-2", "$share/workers/jobs/#");
    let alone = member(Mqtt::V5, "auditor", "$share/auditors/jobs/#");
    let ordinary = member(Mqtt::V3_1_1, "watcher", "jobs/#");
    let mut paho = Paho::start(&ground.sandbox);
    let sender = Connect { mqtt: Mqtt::V5, client_id: "sender", identity: &ground.identity, clean: true, expiry: None };
    assert_eq!(paho.connect("sender", &sender)["reason"], 0);

    let jobs: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    for job in &jobs {
        assert_eq!(paho.publish("sender", &format!("jobs/{job}"), job), 0);
    }
    paho.publish("sender", "end", "first");
    let ended = |who: &Program, last: &str| {
        let last = format!("GOT end {last}");
        who.wait_for_line("the last message", SOON, |line| line == last);
    };
    for who in [&one, &two, &alone, &ordinary] {
        ended(who, "first");
    }
    for whole in [&alone, &ordinary] {
        assert_eq!(payloads(whole, "jobs/"), jobs, "a group of one, and no group, get all");
    }
    let (of_one, of_two) = (payloads(&one, "jobs/"), payloads(&two, "jobs/"));
    assert!(!of_one.is_empty() && !of_two.is_empty(), "{of_one:?} {of_two:?}");
    assert_eq!(of_one.len() + of_two.len(), jobs.len(), "each once in the group: {of_one:?} {of_two:?}");
    let together: BTreeSet<&String> = of_one.iter().chain(&of_two).collect();
    assert_eq!(together, jobs.iter().collect());

    // Who stays gets what the other would have.
    let presence = ground.presence("worker-1");
    drop(one); // SIGKILL
    presence.wait_for_line("its leaving", SOON, |line| line.contains("disconnected/worker-1 "));
    for job in ["40", "41", "42", "43"] {
        paho.publish("sender", &format!("jobs/{job}"), job);
    }
    paho.publish("sender", "end", "second");
    ended(&two, "second");
    assert_eq!(payloads(&two, "jobs/")[of_two.len()..], ["40", "41", "42", "43"]);
}

#[test]
fn a_retained_message_waits_for_subscribers_of_exactly_its_topic() {
    let ground = Ground::new();
    let subscriber = |mqtt, client_id, filter| {
        ground.mosquitto_sub(mqtt, &["-i", client_id, "-t", filter, "-t", "end", "-F", "GOT %t %r %p"])
    };
    ground.mosquitto_pub(&["-t", "press/3/state", "-r", "-m", "running"]);
    for mqtt in [Mqtt::V3_1_1, Mqtt::V5] {
        let exact = subscriber(mqtt, "exact", "press/3/state");
        exact.wait_for_line("the retained message", SOON, |line| line == "GOT press/3/state 1 running");
        // A filter with wildcards gets it when it is published, and never for having been kept.
        let wild = subscriber(mqtt, "wild", "press/+/state");
        ground.publish("press/4/state", "idle");
        wild.wait_for_line("a message that was not kept", SOON, |line| line == "GOT press/4/state 0 idle");
        assert_eq!(payloads(&wild, "press/"), ["0 idle"]);
    }

    // Nothing, retained, takes it away, and is delivered itself.
    let watcher = subscriber(Mqtt::V5, "watcher", "press/3/state");
    ground.mosquitto_pub(&["-t", "press/3/state", "-r", "-n"]);
    watcher.wait_for_line("the empty message", SOON, |line| line.trim_end() == "GOT press/3/state 0");
    let late = subscriber(Mqtt::V5, "late", "press/3/state");
    ground.publish("end", "of this");
    late.wait_for_line("the end", SOON, |line| line == "GOT end 0 of this");
    assert_eq!(payloads(&late, "press/"), Vec::<String>::new());
}

#[test]
fn a_last_will_is_told_of_a_device_that_is_killed_and_not_of_one_that_says_goodbye() {
    let ground = Ground::new();
    let watcher = ground.mosquitto_sub(Mqtt::V3_1_1, &["-i", "watcher", "-t", "wills/#", "-F", "GOT %t %r %p"]);
    for (mqtt, topic) in [(Mqtt::V3_1_1, "wills/3"), (Mqtt::V5, "wills/5")] {
        let device = |client_id, will| {
            let arguments = ["-i", client_id, "-C", "1", "-t", "commands", "--will-topic", topic];
            let will = ["--will-payload", will, "--will-qos", "1", "--will-retain"];
            ground.mosquitto_sub(mqtt, &[&arguments[..], &will].concat())
        };
        let presence = ground.presence("polite");
        let mut polite = device("polite", "never told");
        // The one message it waits for: it says DISCONNECT and ends.
        ground.publish("commands", "enough");
        assert!(polite.wait_for_exit(SOON).success(), "{}", polite.printed());
        presence.wait_for_line("its end", SOON, |line| line.contains(r#""clientInitiatedDisconnect":true"#));
        drop(device("killed", "it is gone"));
        let told = format!("GOT {topic} 0 it is gone");
        watcher.wait_for_line("the will", SOON, |line| line == told);
        assert!(!watcher.printed().contains("never told"), "{}", watcher.printed());
        // It was to be kept.
        let late = ground.mosquitto_sub(mqtt, &["-i", "late", "-t", topic, "-F", "GOT %t %r %p"]);
        let kept = format!("GOT {topic} 1 it is gone");
        late.wait_for_line("the will, kept", SOON, |line| line == kept);
    }
}

#[test]
fn mosquitto_sub_sees_devices_come_subscribe_and_go() {
    let ground = Ground::new();
    let filters = ["-t", "$aws/events/presence/+/press-3", "-t", "$aws/events/subscriptions/+/press-3"];
    let arguments = [&["-i", "watcher", "-F", "EVENT %t %p"], &filters[..]].concat();
    let watcher = ground.observe(&arguments);
    let event = |kind: &str, connection: usize| -> Value {
        let topic = format!("EVENT $aws/events/{kind}/press-3 ");
        watcher.wait_until(kind, SOON, || {
            let lines = watcher.lines(Stream::Out);
            let event = lines.iter().filter_map(|line| line.strip_prefix(&topic)).nth(connection)?;
            Some(serde_json::from_str(event).unwrap_or_else(|error| panic!("{error} in {event}")))
        })
    };

    let device = || ground.mosquitto_sub(Mqtt::V3_1_1, &["-i", "press-3", "-C", "1", "-t", "commands/press-3"]);
    let mut polite = device();
    let connected = event("presence/connected", 0);
    assert_eq!((&connected["clientId"], &connected["eventType"]), (&"press-3".into(), &"connected".into()));
    assert_eq!((&connected["ipAddress"], &connected["versionNumber"]), (&"127.0.0.1".into(), &0.into()));
    assert!(connected["principalIdentifier"].as_str().is_some_and(|id| id.len() == 64), "{connected}");
    let subscribed = event("subscriptions/subscribed", 0);
    assert_eq!(subscribed["topics"], json!(["commands/press-3"]), "{subscribed}");
    assert_eq!(subscribed["sessionIdentifier"], connected["sessionIdentifier"]);
    // The one message it waits for: it says DISCONNECT and ends.
    ground.publish("commands/press-3", "enough");
    assert!(polite.wait_for_exit(SOON).success(), "{}", polite.printed());
    let gone = event("presence/disconnected", 0);
    assert_eq!(gone["disconnectReason"], "CLIENT_INITIATED_DISCONNECT", "{gone}");
    assert_eq!((&gone["clientInitiatedDisconnect"], &gone["versionNumber"]), (&true.into(), &0.into()), "{gone}");
    assert_eq!(gone["sessionIdentifier"], connected["sessionIdentifier"]);

    drop(device()); // SIGKILL
    let gone = event("presence/disconnected", 1);
    assert_eq!(gone["disconnectReason"], "CONNECTION_LOST", "{gone}");
    assert_eq!((&gone["clientInitiatedDisconnect"], &gone["versionNumber"]), (&false.into(), &1.into()), "{gone}");

    // One that no policy lets in.
    let stranger = certificate(&mut Boto3::start(&ground.sandbox), ground.folder(), "stranger", None);
    let mut refused = ground.start("mosquitto_sub", Mqtt::V5, &stranger, &["-i", "press-3", "-t", "commands/press-3"]);
    assert!(!refused.wait_for_exit(SOON).success(), "{}", refused.printed());
    let failed = event("presence/connect_failed", 0);
    assert_eq!(failed["connectFailureReason"], "AUTHORIZATION_FAILED", "{failed}");
}

/// What came on topics that begin so, without the topic.
fn payloads(subscriber: &Program, beginning: &str) -> Vec<String> {
    let lines = subscriber.lines(Stream::Out);
    let messages = lines.iter().filter_map(|line| line.strip_prefix("GOT ")?.split_once(' '));
    messages.filter(|(topic, _)| topic.starts_with(beginning)).map(|(_, rest)| rest.to_owned()).collect()
}
