//! What several witnesses do at a sandbox: watch it, send to it, read its decisions.

use std::time::Duration;

use aether_tests::aether::{Identity, Sandbox};
use aether_tests::foreign::{self, Mqtt};
use aether_tests::program::{Program, Stream};
use serde_json::Value;

/// Longest wait for one thing to happen; all of them take well under a second on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(45);

/// A message as `mosquitto_sub` printed it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) json: Value,
}

/// Starts `mosquitto_sub` with the observer's certificate on every topic, and waits until it has subscribed.
pub(crate) fn subscribe(sandbox: &Sandbox) -> Program {
    let arguments = ["-i", "witness-observer", "-t", "#", "-F", "EVENT %t %p"];
    let mut command = foreign::mosquitto("mosquitto_sub", Mqtt::V3_1_1, sandbox, &sandbox.observer(), arguments);
    let subscriber = Program::start(&mut command);
    subscriber.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));
    subscriber
}

/// Starts `mosquitto_pub` with one message.
pub(crate) fn publish(sandbox: &Sandbox, identity: &Identity, client_id: &str, topic: &str, message: &str) -> Program {
    let arguments = ["-i", client_id, "-t", topic, "-m", message];
    Program::start(&mut foreign::mosquitto("mosquitto_pub", Mqtt::V3_1_1, sandbox, identity, arguments))
}

/// What that `mosquitto_sub` has received so far.
pub(crate) fn events(subscriber: &Program) -> Vec<Event> {
    let lines = subscriber.lines(Stream::Out);
    let printed = lines.iter().filter_map(|line| line.strip_prefix("EVENT "));
    printed
        .map(|event| {
            let (topic, payload) = event.split_once(' ').unwrap();
            let json = serde_json::from_str(payload).unwrap_or_else(|error| panic!("{error} in {event}"));
            Event { topic: topic.to_owned(), json }
        })
        .collect()
}

#[track_caller]
pub(crate) fn wait_for_event(subscriber: &Program, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
    subscriber.wait_until(what, SOON, || events(subscriber).into_iter().find(&wanted))
}

/// What the sandbox decided about this kind of request.
pub(crate) fn decisions(sandbox: &Sandbox, event: &str) -> Vec<Value> {
    sandbox.decisions().into_iter().filter(|decision| decision["event"] == event).collect()
}

/// Waits for a decision about this kind of request: the sandbox answers first and writes it down afterwards.
#[track_caller]
pub(crate) fn wait_for_decision(sandbox: &Sandbox, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let decided = || decisions(sandbox, event).into_iter().find(&wanted);
    sandbox.program().wait_until(&format!("decision about {event}"), SOON, decided)
}
