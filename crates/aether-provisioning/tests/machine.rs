//! The state machine, arrow by arrow.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{ConnectError, EndReason, Message, SessionEnded, SubscribeError};
use aether_provisioning::{Action, Input, IssuedCertificate, Now, ProvisionError, Provisioner, Record, Step};
use serde_json::{Value, json};
use support::{CREATE, REGISTER, TOKEN, claim, created, issued, registered};

/// A machine with a clock of its own.
struct Run {
    machine: Provisioner,
    now: Now,
}

impl Run {
    fn start() -> Self {
        Self::of(Provisioner::new(&claim()))
    }

    fn resume(issued: IssuedCertificate) -> Self {
        Self::of(Provisioner::resume(&claim(), issued, SystemTime::now()))
    }

    fn of(mut machine: Provisioner) -> Self {
        assert!(matches!(machine.poll(), Some(Action::Connect)));
        Self { machine, now: Now { instant: Instant::now(), wall: SystemTime::now() } }
    }

    fn try_give(&mut self, input: Input) -> Result<(), ProvisionError> {
        self.machine.handle(self.now, input)
    }

    #[track_caller]
    fn give(&mut self, input: Input) {
        self.try_give(input).unwrap();
    }

    #[track_caller]
    fn fails(&mut self, input: Input) -> ProvisionError {
        let error = self.try_give(input).expect_err("the attempt ends");
        assert!(self.machine.deadline().is_none());
        error
    }

    #[track_caller]
    fn idle(&mut self) {
        let action = self.machine.poll();
        assert!(action.is_none(), "{action:?}");
    }

    /// Takes both subscriptions and acknowledges them.
    #[track_caller]
    fn subscribe(&mut self, request: &str) {
        let mut filters = Vec::new();
        for suffix in ["accepted", "rejected"] {
            let Some(Action::Subscribe(filter)) = self.machine.poll() else { panic!("a subscription") };
            assert_eq!(filter.as_str(), format!("{request}/{suffix}"));
            filters.push(filter);
        }
        self.idle();
        self.give(Input::Subscribed(filters.pop().unwrap()));
        self.idle();
        self.give(Input::Subscribed(filters.pop().unwrap()));
    }

    #[track_caller]
    fn request(&mut self, expected: &str) -> Value {
        let Some(Action::Publish { topic, payload }) = self.machine.poll() else { panic!("a request") };
        assert_eq!(topic.as_str(), expected);
        self.idle();
        serde_json::from_slice(&payload).unwrap()
    }

    fn to_creating() -> Self {
        let mut run = Self::start();
        run.give(Input::Connected);
        run.subscribe(CREATE);
        assert_eq!(run.request(CREATE), json!({}));
        run
    }

    fn to_registering() -> Self {
        let mut run = Self::to_creating();
        run.give(answer(CREATE, "accepted", &created("c1")));
        let Some(Action::Persist(Record::Issued(_))) = run.machine.poll() else { panic!("a record") };
        run.give(Input::Persisted);
        run.subscribe(REGISTER);
        run.request(REGISTER);
        run
    }
}

fn answer(request: &str, suffix: &str, value: &Value) -> Input {
    let topic = format!("{request}/{suffix}").parse().unwrap();
    Input::Message(Message::new(topic, value.to_string().into_bytes()))
}

fn rejected(request: &str, status: i64, code: &str) -> Input {
    answer(request, "rejected", &json!({ "statusCode": status, "errorCode": code, "errorMessage": "no" }))
}

fn hang_up() -> Input {
    Input::Disconnected(SessionEnded::new(EndReason::ClosedByPeer))
}

#[test]
fn the_flow_ends_with_the_identity() {
    let mut run = Run::to_creating();
    run.give(answer(CREATE, "accepted", &created("c1")));
    let Some(Action::Persist(Record::Issued(issued))) = run.machine.poll() else { panic!("a record") };
    assert_eq!((issued.certificate_id().as_str(), issued.token().reveal()), ("c1", TOKEN));
    assert_eq!(issued.issued_at(), run.now.wall);
    // Nothing leaves before the certificate is kept.
    run.idle();

    run.give(Input::Persisted);
    run.subscribe(REGISTER);
    let request = run.request(REGISTER);
    let expected = json!({ "certificateOwnershipToken": TOKEN, "parameters": { "SerialNumber": "P3-00017" } });
    assert_eq!(request, expected);

    run.give(answer(REGISTER, "accepted", &registered("line7-press3")));
    let Some(Action::Persist(Record::Registered(_))) = run.machine.poll() else { panic!("a record") };
    run.idle();
    run.give(Input::Persisted);
    let Some(Action::Done(identity)) = run.machine.poll() else { panic!("an identity") };
    assert_eq!(identity.thing_name().as_str(), "line7-press3");
    assert_eq!(identity.certificate_id().as_str(), "c1");
    assert_eq!(identity.device_configuration()["site"], "hall-b");
    assert_eq!(identity.credentials().certificate_der(), issued.credentials().certificate_der());
    assert!(run.machine.deadline().is_none());
}

#[test]
fn a_failed_connect_is_the_error() {
    let error = Run::start().fails(Input::ConnectFailed(ConnectError::Closed { endpoint: "x".to_owned() }));
    assert!(matches!(error, ProvisionError::Connect(_)) && error.is_retryable());
    let refused = ConnectError::Refused { endpoint: "x".to_owned(), return_code: 2 };
    assert!(!Run::start().fails(Input::ConnectFailed(refused)).is_retryable());
}

#[test]
fn every_question_has_a_deadline() {
    let silent = |mut run: Run, step: Step| {
        run.give(Input::Elapsed);
        run.now.instant = run.machine.deadline().expect("a deadline");
        let error = run.fails(Input::Elapsed);
        assert!(matches!(&error, ProvisionError::Silent { step: found, .. } if *found == step), "{error:?}");
        assert!(error.is_retryable());
        error
    };
    let mut subscribing = Run::start();
    subscribing.give(Input::Connected);
    silent(subscribing, Step::SubscribeCreate);
    silent(Run::to_creating(), Step::Create);
    let error = silent(Run::to_registering(), Step::Register);
    assert_eq!(error.to_string(), "no answer within 30s while waiting for RegisterThing");
    assert!(Run::start().machine.deadline().is_none(), "connecting has a limit of its own");
}

#[test]
fn a_hang_up_names_the_arrow_and_what_to_look_at() {
    let mut subscribing = Run::start();
    subscribing.give(Input::Connected);
    for (mut run, step) in [
        (subscribing, Step::SubscribeCreate),
        (Run::to_creating(), Step::Create),
        (Run::to_registering(), Step::Register),
    ] {
        let error = run.fails(hang_up());
        assert!(matches!(&error, ProvisionError::Ended { step: found, .. } if *found == step), "{error:?}");
        assert!(error.to_string().contains("claim certificate missing policy, inactive, or wrong endpoint"));
        assert!(error.is_retryable());
    }
}

#[test]
fn a_refused_subscription_ends_the_attempt() {
    let mut run = Run::start();
    run.give(Input::Connected);
    let refused = SubscribeError::Refused { filter: "x".to_owned() };
    let error = run.fails(Input::SubscribeRefused(refused));
    assert!(matches!(error, ProvisionError::SubscriptionRefused { step: Step::SubscribeCreate, .. }));
}

#[test]
fn rejections_are_final_or_not_by_their_status() {
    for (status, retryable) in
        [(400, false), (401, false), (403, true), (404, false), (409, false), (429, true), (500, true), (503, true)]
    {
        for (mut run, request) in [(Run::to_creating(), CREATE), (Run::to_registering(), REGISTER)] {
            let error = run.fails(rejected(request, status, "Code"));
            assert_eq!(error.is_retryable(), retryable, "{status}");
            let text = error.to_string();
            assert!(text.contains(&format!("status {status}, Code: no")), "{text}");
        }
    }
}

#[test]
fn a_fresh_token_that_is_rejected_is_final() {
    let error = Run::to_registering().fails(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken"));
    assert!(!error.is_retryable());
}

#[test]
fn a_young_token_goes_straight_to_register() {
    let mut run = Run::resume(issued("c0", Duration::from_secs(54 * 60)));
    run.give(Input::Connected);
    run.subscribe(REGISTER);
    assert_eq!(run.request(REGISTER)["certificateOwnershipToken"], TOKEN);
    run.give(answer(REGISTER, "accepted", &registered("line7-press3")));
    let Some(Action::Persist(Record::Registered(identity))) = run.machine.poll() else { panic!("a record") };
    assert_eq!(identity.certificate_id().as_str(), "c0");
}

#[test]
fn an_old_token_is_not_tried() {
    let mut run = Run::resume(issued("c0", Duration::from_secs(56 * 60)));
    run.give(Input::Connected);
    run.subscribe(CREATE);
    run.request(CREATE);
}

#[test]
fn a_token_from_the_future_is_tried() {
    let later = SystemTime::now() + Duration::from_secs(3600);
    let one = issued("c0", Duration::ZERO);
    let early =
        IssuedCertificate::new(one.certificate_id().clone(), one.credentials().clone(), one.token().clone(), later);
    let mut run = Run::resume(early);
    run.give(Input::Connected);
    run.subscribe(REGISTER);
}

#[test]
fn a_spent_token_leads_back_to_create_within_the_same_session() {
    let mut run = Run::resume(issued("c0", Duration::ZERO));
    run.give(Input::Connected);
    run.subscribe(REGISTER);
    run.request(REGISTER);
    run.give(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken"));
    run.subscribe(CREATE);
    run.request(CREATE);
    run.give(answer(CREATE, "accepted", &created("c1")));
    let Some(Action::Persist(Record::Issued(_))) = run.machine.poll() else { panic!("a record") };
    run.give(Input::Persisted);
    // The answers of RegisterThing are subscribed to already.
    run.request(REGISTER);
    let error = run.fails(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken"));
    assert!(!error.is_retryable(), "but not for ever");
}

#[test]
fn a_template_without_a_thing_is_told_which_part_is_missing() {
    let error = Run::to_registering().fails(answer(REGISTER, "accepted", &json!({ "deviceConfiguration": {} })));
    assert!(!error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("template Aether") && text.contains("AWS::IoT::Thing"), "{text}");
}

#[test]
fn an_answer_that_makes_no_sense_is_an_error_of_its_arrow() {
    let mut wrong_key = created("c1");
    wrong_key["privateKey"] = created("c2")["privateKey"].clone();
    for (mut run, input, step) in [
        (Run::to_creating(), answer(CREATE, "accepted", &json!({})), Step::Create),
        (Run::to_creating(), answer(CREATE, "accepted", &wrong_key), Step::Create),
        (Run::to_creating(), answer(CREATE, "accepted", &created("../c1")), Step::Create),
        (Run::to_creating(), answer(CREATE, "rejected", &json!("no")), Step::Create),
        (Run::to_registering(), answer(REGISTER, "accepted", &registered("line 7")), Step::Register),
    ] {
        let error = run.fails(input);
        assert!(matches!(&error, ProvisionError::Answer { step: found, .. } if *found == step), "{error:?}");
        run.idle();
    }
}

#[test]
fn what_belongs_to_no_open_question_changes_nothing() {
    let filter = || "a".parse().unwrap();
    let mut run = Run::start();
    for input in [Input::Subscribed(filter()), Input::Persisted, Input::Elapsed, rejected(CREATE, 500, "x")] {
        run.give(input);
        run.idle();
    }
    let mut run = Run::to_creating();
    for input in [
        Input::Connected,
        Input::Subscribed(filter()),
        Input::Persisted,
        Input::Elapsed,
        answer(REGISTER, "accepted", &registered("early")),
        answer("other", "accepted", &json!({})),
    ] {
        run.give(input);
        run.idle();
    }
    let mut run = Run::to_registering();
    for input in [Input::Connected, Input::Persisted, answer(CREATE, "accepted", &created("twice"))] {
        run.give(input);
        run.idle();
    }
}

#[test]
fn a_hang_up_while_storing_does_not_lose_the_certificate() {
    let mut run = Run::to_creating();
    run.give(answer(CREATE, "accepted", &created("c1")));
    run.fails(hang_up());
    assert!(matches!(run.machine.poll(), Some(Action::Persist(Record::Issued(_)))), "still to be kept");
    run.idle();
}

#[test]
fn a_hang_up_after_registration_does_not_matter() {
    let mut run = Run::to_registering();
    run.give(answer(REGISTER, "accepted", &registered("line7-press3")));
    run.give(hang_up());
    assert!(matches!(run.machine.poll(), Some(Action::Persist(Record::Registered(_)))));
    run.give(Input::Persisted);
    assert!(matches!(run.machine.poll(), Some(Action::Done(_))));
}

#[test]
fn debug_output_shows_neither_key_nor_token() {
    let value = created("c1");
    let mut run = Run::to_creating();
    let input = answer(CREATE, "accepted", &value);
    let mut shown = format!("{input:?}");
    run.give(input);
    let persist = run.machine.poll().unwrap();
    shown += &format!("{persist:?} {:?}", run.machine);
    run.give(Input::Persisted);
    while let Some(Action::Subscribe(filter)) = run.machine.poll() {
        run.give(Input::Subscribed(filter));
        if let Some(action @ Action::Publish { .. }) = run.machine.poll() {
            shown += &format!("{action:?}");
        }
    }
    let key = value["privateKey"].as_str().unwrap().lines().nth(1).unwrap();
    assert!(shown.contains("Persist") && !shown.contains(key) && !shown.contains(TOKEN), "{shown}");
    // Neither as a list of bytes.
    assert!(!shown.contains("45, 45, 45"), "{shown}");
}
