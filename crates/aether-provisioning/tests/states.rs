//! Every state × every input, and the document that says what comes of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aether_mqtt::{ConnectError, PublishError, SubscribeError};
use aether_provisioning::{Action, Input, KeyError, Login, ProvisionError, Record, StoreError};
use serde_json::json;
use support::run::{Run, answer, hang_up, rejected};
use support::{CREATE, REGISTER, created, registered};

/// A way to bring a fresh machine into a state, with nothing left to do.
type Bring = fn() -> Run;

const STATES: [(&str, Bring); 13] = [
    ("Resting", || {
        let mut run = Run::to_connecting();
        run.interrupts(Input::ConnectFailed(ConnectError::Closed { endpoint: String::new() }));
        run
    }),
    ("Preparing", || {
        let mut run = Run::start();
        run.prepares();
        run
    }),
    ("Connecting", Run::to_connecting),
    ("SubscribingCreate", || drained(Run::to_subscribing_create())),
    ("Creating", Run::to_creating),
    ("StoringIssued", || drained(Run::to_storing_issued())),
    ("SubscribingRegister", || drained(Run::to_subscribing_register())),
    ("Registering", Run::to_registering),
    ("StoringRegistered", || drained(Run::to_storing_registered())),
    ("Proving", Run::to_proving),
    ("StoringProven", || drained(Run::to_storing_proven())),
    ("Done", || drained(Run::to_done())),
    ("Failed", || {
        let mut run = Run::to_creating();
        run.fails(rejected(CREATE, 400, "x"));
        drained(run)
    }),
];

fn drained(mut run: Run) -> Run {
    while run.machine.poll().is_some() {}
    run
}

/// What can happen, as the document calls it. The machine may have to be looked at to make one.
type Happens = (&'static str, fn(&Run) -> Input);

const INPUTS: [Happens; 27] = [
    ("Prepared", |_| Input::Prepared(None)),
    ("NotPrepared, disk full", |_| Input::NotPrepared(disk_full())),
    ("NotPrepared, not permitted", |_| Input::NotPrepared(not_permitted())),
    ("NoKey", |_| Input::NoKey(KeyError::NotFound { locator: "pkcs11:object=x".to_owned() })),
    ("Connected", |_| Input::Connected),
    ("ConnectFailed, retryable", |_| Input::ConnectFailed(ConnectError::Closed { endpoint: String::new() })),
    ("ConnectFailed, final", |_| {
        Input::ConnectFailed(ConnectError::Refused { endpoint: String::new(), return_code: 2 })
    }),
    ("Subscribed, the last of Create", |_| Input::Subscribed(format!("{CREATE}/rejected").parse().unwrap())),
    ("Subscribed, the last of Register", |_| Input::Subscribed(format!("{REGISTER}/rejected").parse().unwrap())),
    ("Subscribed, another", |_| Input::Subscribed("other".parse().unwrap())),
    ("SubscribeRefused", |_| Input::SubscribeRefused(SubscribeError::Refused { filter: String::new() })),
    ("PublishRefused", |_| Input::PublishRefused(PublishError::TooLarge { bytes: 2, limit: 1 })),
    ("Message, certificate accepted", |_| answer(CREATE, "accepted", &created("c2"))),
    ("Message, certificate rejected 403", |_| rejected(CREATE, 403, "x")),
    ("Message, certificate rejected 400", |_| rejected(CREATE, 400, "x")),
    ("Message, certificate unreadable", |_| answer(CREATE, "accepted", &json!(1))),
    ("Message, Thing accepted", |_| answer(REGISTER, "accepted", &registered("line7-press3"))),
    ("Message, Thing accepted without a name", |_| answer(REGISTER, "accepted", &json!({}))),
    ("Message, Thing rejected 403", |_| rejected(REGISTER, 403, "x")),
    ("Message, Thing rejected 400", |_| rejected(REGISTER, 400, "x")),
    ("Message, Thing unreadable", |_| answer(REGISTER, "accepted", &json!(1))),
    ("Message, another", |_| answer("other", "accepted", &json!({}))),
    ("Persisted", |_| Input::Persisted),
    ("NotPersisted, disk full", |_| Input::NotPersisted(disk_full())),
    ("NotPersisted, not permitted", |_| Input::NotPersisted(not_permitted())),
    ("Elapsed", |_| Input::Elapsed),
    ("Disconnected", |_| hang_up()),
];

fn disk_full() -> StoreError {
    StoreError::Io { doing: "write", path: "state".into(), source: io::ErrorKind::StorageFull.into() }
}

fn not_permitted() -> StoreError {
    StoreError::Io { doing: "write", path: "state".into(), source: io::ErrorKind::PermissionDenied.into() }
}

/// What came of an input: the next state, and what is to be done.
fn outcome(mut run: Run, input: Input) -> (String, String) {
    if matches!(input, Input::Elapsed) {
        // The deadline has come, where there is one.
        run.now.instant = run.machine.deadline().unwrap_or(run.now.instant) + Duration::from_millis(1);
    }
    // One of two SUBACKs is there already where both are waited for.
    for request in [CREATE, REGISTER] {
        run.give(Input::Subscribed(format!("{request}/accepted").parse().unwrap()));
    }
    let outcome = run.try_give(input);
    let mut actions = Vec::new();
    while let Some(action) = run.machine.poll() {
        let action = name(&action);
        match actions.last_mut() {
            Some((last, times)) if *last == action => *times += 1,
            _ => actions.push((action, 1)),
        }
    }
    let mut actions: Vec<String> =
        actions.into_iter().map(|(name, times)| if times > 1 { format!("{name} ×{times}") } else { name }).collect();
    if let Err(error) = outcome {
        actions.insert(0, format!("error {}", variant(&error)));
    }
    (run.machine.state().to_owned(), actions.join(", "))
}

fn name(action: &Action) -> String {
    match action {
        Action::Prepare { .. } => "Prepare".to_owned(),
        Action::Connect(Login::Claim) => "Connect with the claim".to_owned(),
        Action::Connect(Login::Device(_)) => "Connect as the device".to_owned(),
        Action::Subscribe(_) => "Subscribe".to_owned(),
        Action::Publish { topic, .. } if topic.as_str() == CREATE => "Publish CreateKeysAndCertificate".to_owned(),
        Action::Publish { .. } => "Publish RegisterThing".to_owned(),
        Action::Persist(Record::Issued(_)) => "Persist issued".to_owned(),
        Action::Persist(Record::Registered(_)) => "Persist registered".to_owned(),
        Action::Persist(Record::Proven(_)) => "Persist proven".to_owned(),
        Action::Disconnect => "Disconnect".to_owned(),
        Action::Report { error, .. } => format!("Report {}", variant(error)),
        Action::Done(_) => "Done".to_owned(),
        Action::Persist(_) | _ => panic!("an action this test does not know: {action:?}"),
    }
}

fn variant(error: &ProvisionError) -> String {
    let debug = format!("{error:?}");
    debug.split([' ', '(', '{']).next().unwrap().to_owned()
}

fn document() -> String {
    let mut table = String::new();
    let mut edges: Vec<(String, String, Vec<&str>)> = Vec::new();
    for (state, bring) in STATES {
        assert_eq!(bring().machine.state(), state);
        write!(table, "\n### {state}\n\n| input | next state | then |\n| --- | --- | --- |\n").unwrap();
        let mut unchanged = Vec::new();
        for (happens, input) in INPUTS {
            let run = bring();
            let input = input(&run);
            let (next, actions) = outcome(run, input);
            if next == state && actions.is_empty() {
                unchanged.push(happens);
                continue;
            }
            writeln!(table, "| {happens} | {next} | {actions} |").unwrap();
            match edges.iter_mut().find(|(from, to, _)| from == state && *to == next) {
                Some((_, _, labels)) => labels.push(happens),
                None => edges.push((state.to_owned(), next, vec![happens])),
            }
        }
        writeln!(table, "\nUnchanged by: {}.", unchanged.join("; ")).unwrap();
    }
    let mut diagram = String::new();
    for (from, to, labels) in &edges {
        // The way to rest and to fail leads from nearly everywhere; the tables have it.
        if to != "Resting" && to != "Failed" {
            writeln!(diagram, "    {from} --> {to}: {}", labels.join(" / ")).unwrap();
        }
    }
    format!(
        "# The states of provisioning\n\n\
         Written by `crates/aether-provisioning/tests/states.rs`, which brings a machine into each state, gives it each\n\
         input and notes what comes of it; the test fails when this file says anything else. After a change:\n\
         `AETHER_UPDATE_DOCS=1 cargo test -p aether-provisioning --test states`.\n\n\
         The run shown has the key made by AWS. With a key of the device's own, `Prepare` asks for it and the request is\n\
         CreateCertificateFromCsr; the states are the same.\n\n\
         ```mermaid\nstateDiagram-v2\n    [*] --> Resting\n{diagram}    Done --> [*]\n    Failed --> [*]\n```\n\n\
         `Resting` waits for the delay of `RetryPolicy` and then goes on where the interruption was: with another\n\
         attempt (as in the tables below), with the record that could not be kept, or with the proof of the new\n\
         identity. It begins without a delay.\n\n## Each state\n{table}"
    )
}

#[test]
fn the_document_says_what_every_input_does_in_every_state() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/provisioning-states.md");
    let found = document();
    if std::env::var_os("AETHER_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    for (at, (found, written)) in found.lines().zip(written.lines()).enumerate() {
        assert_eq!(found, written, "line {} of docs/provisioning-states.md", at + 1);
    }
    assert_eq!(found.lines().count(), written.lines().count());
}
