//! A machine with a clock of its own, driven by hand.

use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{EndReason, Message, SessionEnded};
use aether_provisioning::{
    Action, Claim, Identity, Input, IssuedCertificate, Login, Now, OwnKey, ProvisionError, Provisioner, Record,
    RetryPolicy, Start,
};
use serde_json::{Value, json};

use super::{CREATE, CREATE_FROM_CSR, REGISTER, claim, created, registered};

/// A machine and the time it is told.
pub(crate) struct Run {
    pub(crate) machine: Provisioner,
    pub(crate) now: Now,
}

pub(crate) fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now(), random: 0 }
}

impl Run {
    pub(crate) fn new(claim: &Claim, start: Start) -> Self {
        let now = now();
        Self { machine: Provisioner::new(claim, start, now), now }
    }

    pub(crate) fn adopt(identity: Identity, activation: Duration) -> Self {
        let now = now();
        Self { machine: Provisioner::adopt(identity, &RetryPolicy::default(), activation, now), now }
    }

    /// At the first thing to do.
    pub(crate) fn start() -> Self {
        let mut run = Self::new(&claim(), Start::Empty);
        run.elapse();
        run
    }

    /// With a certificate of an earlier run, which is kept once more.
    pub(crate) fn resume(claim: &Claim, issued: IssuedCertificate) -> Self {
        let mut run = Self::new(claim, Start::Issued(issued));
        run.elapse();
        assert!(matches!(run.persists(), Record::Issued(_)));
        run.give(Input::Persisted);
        run
    }

    pub(crate) fn try_give(&mut self, input: Input) -> Result<(), ProvisionError> {
        self.machine.handle(self.now, input)
    }

    #[track_caller]
    pub(crate) fn give(&mut self, input: Input) {
        self.try_give(input).unwrap();
    }

    /// Gives an input that ends the run.
    #[track_caller]
    pub(crate) fn fails(&mut self, input: Input) -> ProvisionError {
        let error = self.try_give(input).expect_err("the run ends");
        assert!(self.machine.deadline().is_none());
        assert_eq!(self.machine.state(), "Failed");
        error
    }

    /// Gives an input after which the machine rests; what went wrong, and how long it rests.
    #[track_caller]
    pub(crate) fn interrupts(&mut self, input: Input) -> (ProvisionError, Duration) {
        self.give(input);
        loop {
            match self.machine.poll() {
                Some(Action::Disconnect) => {}
                Some(Action::Report { error, retry_in }) => {
                    self.idle();
                    assert_eq!(self.machine.state(), "Resting");
                    return (error, retry_in.expect("a delay"));
                }
                other => panic!("a report, found {other:?}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn idle(&mut self) {
        let action = self.machine.poll();
        assert!(action.is_none(), "{action:?}");
    }

    /// Lets the time of the deadline come.
    #[track_caller]
    pub(crate) fn elapse(&mut self) {
        self.now.instant = self.machine.deadline().expect("a deadline").max(self.now.instant);
        self.give(Input::Elapsed);
    }

    #[track_caller]
    pub(crate) fn prepares(&mut self) -> bool {
        match self.machine.poll() {
            Some(Action::Prepare { own_key }) => own_key,
            other => panic!("a preparation, found {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn connects(&mut self) -> Login {
        match self.machine.poll() {
            Some(Action::Connect(login)) => login,
            other => panic!("a connect, found {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn persists(&mut self) -> Record {
        let Some(Action::Persist(record)) = self.machine.poll() else { panic!("a record to keep") };
        // Nothing leaves before it is kept.
        self.idle();
        record
    }

    #[track_caller]
    pub(crate) fn disconnects(&mut self) {
        assert!(matches!(self.machine.poll(), Some(Action::Disconnect)));
    }

    /// Takes both subscriptions and acknowledges them.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, request: &str) {
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
    pub(crate) fn request(&mut self, expected: &str) -> Value {
        let Some(Action::Publish { topic, payload }) = self.machine.poll() else { panic!("a request") };
        assert_eq!(topic.as_str(), expected);
        self.idle();
        serde_json::from_slice(&payload).unwrap()
    }

    /// Asks for a certificate, is given `id`, and keeps it.
    #[track_caller]
    pub(crate) fn obtains_certificate(&mut self, id: &str) {
        self.request(CREATE);
        self.give(answer(CREATE, "accepted", &created(id)));
        self.persists();
        self.give(Input::Persisted);
    }

    pub(crate) fn to_connecting() -> Self {
        let mut run = Self::start();
        assert!(!run.prepares());
        run.give(Input::Prepared(None));
        assert!(matches!(run.connects(), Login::Claim));
        run.idle();
        run
    }

    pub(crate) fn to_subscribing_create() -> Self {
        let mut run = Self::to_connecting();
        run.give(Input::Connected);
        run
    }

    pub(crate) fn to_creating() -> Self {
        let mut run = Self::to_subscribing_create();
        run.subscribe(CREATE);
        assert_eq!(run.request(CREATE), json!({}));
        run
    }

    /// With the device's own key.
    pub(crate) fn to_creating_from_csr(claim: &Claim, own: OwnKey) -> Self {
        let mut run = Self::new(claim, Start::Empty);
        run.elapse();
        assert!(run.prepares());
        run.give(Input::Prepared(Some(own)));
        run.connects();
        run.give(Input::Connected);
        run.subscribe(CREATE_FROM_CSR);
        run
    }

    pub(crate) fn to_storing_issued() -> Self {
        let mut run = Self::to_creating();
        run.give(answer(CREATE, "accepted", &created("c1")));
        run
    }

    pub(crate) fn to_subscribing_register() -> Self {
        let mut run = Self::to_storing_issued();
        assert!(matches!(run.persists(), Record::Issued(_)));
        run.give(Input::Persisted);
        run
    }

    pub(crate) fn to_registering() -> Self {
        let mut run = Self::to_subscribing_register();
        run.subscribe(REGISTER);
        run.request(REGISTER);
        run
    }

    pub(crate) fn to_storing_registered() -> Self {
        let mut run = Self::to_registering();
        run.give(answer(REGISTER, "accepted", &registered("line7-press3")));
        run
    }

    pub(crate) fn to_proving() -> Self {
        let mut run = Self::to_storing_registered();
        assert!(matches!(run.persists(), Record::Registered(_)));
        run.give(Input::Persisted);
        run.disconnects();
        assert!(matches!(run.connects(), Login::Device(one) if one.thing_name().as_str() == "line7-press3"));
        run.idle();
        run
    }

    pub(crate) fn to_storing_proven() -> Self {
        let mut run = Self::to_proving();
        run.give(Input::Connected);
        run
    }

    pub(crate) fn to_done() -> Self {
        let mut run = Self::to_storing_proven();
        assert!(matches!(run.persists(), Record::Proven(_)));
        run.give(Input::Persisted);
        run
    }
}

pub(crate) fn answer(request: &str, suffix: &str, value: &Value) -> Input {
    let topic = format!("{request}/{suffix}").parse().unwrap();
    Input::Message(Message::new(topic, value.to_string().into_bytes()))
}

pub(crate) fn rejected(request: &str, status: i64, code: &str) -> Input {
    answer(request, "rejected", &json!({ "statusCode": status, "errorCode": code, "errorMessage": "no" }))
}

pub(crate) fn hang_up() -> Input {
    Input::Disconnected(SessionEnded::new(EndReason::ClosedByPeer))
}
