//! Persistent sessions, seen by Mosquitto's clients and by paho-mqtt: what is published while a device is away
//! waits for it, until its session's time is over.

use aether_tests::foreign::Mqtt;
use aether_tests::paho::{Connect, Paho, Payload};
use aether_tests::program::{Program, Stream};

use crate::ground::Ground;
use crate::support::SOON;

/// The device that goes away and comes back.
const DEVICE: &str = "press-3";

#[test]
fn mosquitto_sub_gets_what_was_published_while_it_was_away_on_mqtt_3() {
    // Without a way to say how long, a session of MQTT 3.1.1 lives an hour.
    what_waits_comes_until_the_session_is_over(Mqtt::V3_1_1, &[], "61m");
}

#[test]
fn mosquitto_sub_gets_what_was_published_while_it_was_away_on_mqtt_5() {
    what_waits_comes_until_the_session_is_over(Mqtt::V5, &["-x", "120"], "121s");
}

#[test]
fn paho_is_told_whether_its_session_is_there_on_mqtt_3() {
    the_session_is_there_until_it_is_over(Mqtt::V3_1_1, None, "61m");
}

#[test]
fn paho_is_told_whether_its_session_is_there_on_mqtt_5() {
    the_session_is_there_until_it_is_over(Mqtt::V5, Some(120), "121s");
}

#[test]
fn the_newer_connection_takes_the_session_over_on_mqtt_3() {
    the_newer_connection_takes_the_session_over(Mqtt::V3_1_1);
}

#[test]
fn the_newer_connection_takes_the_session_over_on_mqtt_5() {
    the_newer_connection_takes_the_session_over(Mqtt::V5);
}

#[track_caller]
fn what_waits_comes_until_the_session_is_over(mqtt: Mqtt, expiry: &[&str], longer: &str) {
    let ground = Ground::new();
    let device = |more: &[&str]| {
        let arguments = ["-i", DEVICE, "-c", "-t", "commands/press-3", "-F", "GOT %p"];
        ground.mosquitto_sub(mqtt, &[&arguments, expiry, more].concat())
    };
    let presence = ground.presence(DEVICE);
    let gone = |device: &mut Program, times: usize| {
        assert!(device.wait_for_exit(SOON).success(), "{}", device.printed());
        presence.wait_until("its leaving", SOON, || {
            let left = presence.lines(Stream::Out).iter().filter(|line| line.contains("disconnected/press-3 ")).count();
            (left == times).then_some(())
        });
    };

    // Its own way to begin a session: it ends once its subscription is acknowledged.
    gone(&mut device(&["-E"]), 1);
    for message in ["one", "two"] {
        ground.publish("commands/press-3", message);
    }
    let mut back = device(&["-C", "3"]);
    back.wait_for_line("the last of what waited", SOON, |line| line == "GOT two");
    ground.publish("commands/press-3", "three");
    gone(&mut back, 2);
    assert_eq!(got(&back), ["GOT one", "GOT two", "GOT three"]);

    // What was acknowledged does not come again, and what waits for longer than the session lives not at all.
    ground.publish("commands/press-3", "too late");
    ground.advance(longer);
    let late = device(&[]);
    ground.publish("commands/press-3", "four");
    late.wait_for_line("a new message", SOON, |line| line == "GOT four");
    assert_eq!(got(&late), ["GOT four"]);
}

fn got(device: &Program) -> Vec<String> {
    device.lines(Stream::Out).into_iter().filter(|line| line.starts_with("GOT ")).collect()
}

#[track_caller]
fn the_session_is_there_until_it_is_over(mqtt: Mqtt, expiry: Option<u32>, longer: &str) {
    let ground = Ground::new();
    let mut paho = Paho::start(&ground.sandbox);
    let lasting = Connect { mqtt, client_id: DEVICE, identity: &ground.identity, clean: false, expiry };

    assert_eq!(paho.connect("first", &lasting)["session_present"], false);
    assert_eq!(paho.subscribe("first", "commands/press-3"), 1);
    paho.disconnect("first");
    ground.publish("commands/press-3", "while away");
    // Without subscribing again: the subscription is part of the session.
    assert_eq!(paho.connect("second", &lasting)["session_present"], true);
    let message = paho.next("second", Payload::Text);
    assert_eq!((&message["payload"], &message["qos"]), (&"while away".into(), &1.into()), "{message}");
    paho.disconnect("second");

    ground.advance(longer);
    assert_eq!(paho.connect("third", &lasting)["session_present"], false);
    assert_eq!(paho.subscribe("third", "commands/press-3"), 1);
    paho.disconnect("third");
    // A client that wants a clean session is told of none, and leaves none behind.
    let clean = Connect { clean: true, expiry: None, ..lasting.clone() };
    assert_eq!(paho.connect("clean", &clean)["session_present"], false);
    paho.disconnect("clean");
    assert_eq!(paho.connect("fourth", &lasting)["session_present"], false);
}

#[track_caller]
fn the_newer_connection_takes_the_session_over(mqtt: Mqtt) {
    let ground = Ground::new();
    let presence = ground.presence(DEVICE);
    let mut paho = Paho::start(&ground.sandbox);
    let expiry = (mqtt == Mqtt::V5).then_some(120);
    let device = Connect { mqtt, client_id: DEVICE, identity: &ground.identity, clean: false, expiry };
    paho.connect("older", &device);
    assert_eq!(paho.subscribe("older", "commands/press-3"), 1);

    assert_eq!(paho.connect("newer", &device)["session_present"], true);
    let lost = paho.wait_until_lost("older");
    match mqtt {
        Mqtt::V3_1_1 => assert_eq!(lost["by_server"], false, "there is no such packet: {lost}"),
        Mqtt::V5 => assert_eq!((&lost["by_server"], &lost["reason"]), (&true.into(), &0x8e.into()), "{lost}"),
    }
    ground.publish("commands/press-3", "for whoever it is now");
    assert_eq!(paho.next("newer", Payload::Text)["payload"], "for whoever it is now");
    presence.wait_for_line("the reason of the older one's end", SOON, |line| {
        line.contains("disconnected/press-3 ") && line.contains(r#""disconnectReason":"DUPLICATE_CLIENTID""#)
    });
}
