//! The state machine, arrow by arrow.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::io;
use std::time::{Duration, SystemTime};

use aether_mqtt::{ConnectError, PrivateKey, SubscribeError, testing};
use aether_provisioning::{
    Action, Claim, Identity, Input, IssuedCertificate, KeyKind, KeyPlan, KeySource, Login, OwnKey, ProvisionError,
    Provisioner, Record, RetryPolicy, SigningRequest, SoftwareKeys, Start, Step, StoreError,
};
use serde_json::json;
use std::sync::Arc;
use support::run::{Run, answer, hang_up, now, rejected};
use support::{CREATE, CREATE_FROM_CSR, REGISTER, TOKEN, claim, created, identity, issued, registered};

const MINUTE: Duration = Duration::from_secs(60);

fn closed() -> ConnectError {
    ConnectError::Closed { endpoint: "localhost:8883".to_owned() }
}

fn disk_full() -> StoreError {
    StoreError::Io { doing: "write", path: "state".into(), source: io::ErrorKind::StorageFull.into() }
}

fn no_permission() -> StoreError {
    StoreError::Io { doing: "write", path: "state".into(), source: io::ErrorKind::PermissionDenied.into() }
}

#[test]
fn the_flow_ends_with_an_identity_that_has_connected() {
    let mut run = Run::to_creating();
    run.give(answer(CREATE, "accepted", &created("c1")));
    let Record::Issued(issued) = run.persists() else { panic!("the certificate") };
    assert_eq!((issued.certificate_id().as_str(), issued.token().reveal()), ("c1", TOKEN));
    assert_eq!(issued.issued_at(), run.now.wall);

    run.give(Input::Persisted);
    run.subscribe(REGISTER);
    let request = run.request(REGISTER);
    let expected = json!({ "certificateOwnershipToken": TOKEN, "parameters": { "SerialNumber": "P3-00017" } });
    assert_eq!(request, expected);

    run.give(answer(REGISTER, "accepted", &registered("line7-press3")));
    assert!(matches!(run.persists(), Record::Registered(_)));
    run.give(Input::Persisted);
    run.disconnects();
    let Login::Device(connecting) = run.connects() else { panic!("as the device") };
    assert_eq!(connecting.thing_name().as_str(), "line7-press3");
    run.idle();

    run.give(Input::Connected);
    assert!(matches!(run.persists(), Record::Proven(_)));
    run.give(Input::Persisted);
    let Some(Action::Done(identity)) = run.machine.poll() else { panic!("an identity") };
    assert_eq!(identity.certificate_id().as_str(), "c1");
    assert_eq!(identity.device_configuration()["site"], "hall-b");
    assert_eq!(identity.credentials().certificate_der(), issued.credentials().certificate_der());
    assert!(run.machine.deadline().is_none());
}

fn own_key() -> OwnKey {
    let key = SoftwareKeys::new(KeyKind::EcP256).make().unwrap();
    OwnKey { request: SigningRequest::make(&key, "device").unwrap(), key }
}

fn own_key_claim() -> Claim {
    claim().keys(KeyPlan::OnDevice(Arc::new(SoftwareKeys::new(KeyKind::EcP256))))
}

#[test]
fn with_a_key_of_its_own_the_device_asks_for_a_certificate_of_it() {
    let own = own_key();
    let mut run = Run::to_creating_from_csr(&own_key_claim(), own.clone());
    let request = run.request(CREATE_FROM_CSR);
    assert_eq!(request, json!({ "certificateSigningRequest": own.request.as_pem() }));

    let certificate = testing::certificate_of(own.key.public_key_der(), "AWS IoT Certificate");
    let accepted = json!({ "certificateId": "c1", "certificatePem": certificate, "certificateOwnershipToken": TOKEN });
    run.give(answer(CREATE_FROM_CSR, "accepted", &accepted));
    let Record::Issued(issued) = run.persists() else { panic!("the certificate") };
    assert_eq!(issued.credentials().private_key().public_key_der(), own.key.public_key_der());
}

#[test]
fn a_certificate_for_another_key_is_not_taken() {
    let mut run = Run::to_creating_from_csr(&own_key_claim(), own_key());
    run.request(CREATE_FROM_CSR);
    let (error, _) = run.interrupts(answer(CREATE_FROM_CSR, "accepted", &created("c1")));
    assert!(matches!(error, ProvisionError::Answer { step: Step::CreateFromCsr, .. }), "{error:?}");
}

#[test]
fn without_the_key_it_asked_for_the_machine_waits() {
    let mut run = Run::new(&own_key_claim(), Start::Empty);
    run.elapse();
    assert!(run.prepares());
    run.give(Input::Prepared(None));
    run.idle();
    assert_eq!(run.machine.state(), "Preparing");
}

#[test]
fn a_failed_connect_is_tried_again_or_final() {
    let (error, delay) = Run::to_connecting().interrupts(Input::ConnectFailed(closed()));
    assert!(matches!(error, ProvisionError::Connect(_)) && error.is_retryable());
    assert_eq!(delay, Duration::from_secs(1));
    let refused = ConnectError::Refused { endpoint: "x".to_owned(), return_code: 2 };
    assert!(!Run::to_connecting().fails(Input::ConnectFailed(refused)).is_retryable());
}

#[test]
fn after_its_delay_an_attempt_begins_anew() {
    let mut run = Run::to_connecting();
    run.interrupts(Input::ConnectFailed(closed()));
    run.give(Input::Elapsed);
    assert_eq!(run.machine.state(), "Resting", "not before its time");
    run.elapse();
    assert!(!run.prepares());
}

#[test]
fn delays_grow_with_each_failure_and_start_over_after_a_success() {
    let mut run = Run::to_connecting();
    run.now.random = u64::MAX;
    let mut delays = Vec::new();
    for _ in 0..3 {
        delays.push(run.interrupts(Input::ConnectFailed(closed())).1.as_secs());
        run.elapse();
        run.prepares();
        run.give(Input::Prepared(None));
        run.connects();
    }
    assert_eq!(delays, [2, 4, 8]);
    let mut run = Run::to_storing_issued();
    run.persists();
    run.now.random = u64::MAX;
    run.give(Input::Persisted);
    let (_, delay) = run.interrupts(hang_up());
    assert_eq!(delay, Duration::from_secs(10), "the first slow delay");
}

#[test]
fn every_question_has_a_deadline() {
    let silent = |mut run: Run, step: Step| {
        run.give(Input::Elapsed);
        run.now.instant = run.machine.deadline().expect("a deadline");
        let (error, _) = run.interrupts(Input::Elapsed);
        assert!(matches!(&error, ProvisionError::Silent { step: found, .. } if *found == step), "{error:?}");
        error
    };
    let mut subscribing = Run::to_subscribing_create();
    while subscribing.machine.poll().is_some() {}
    silent(subscribing, Step::SubscribeCreate);
    silent(Run::to_creating(), Step::Create);
    let error = silent(Run::to_registering(), Step::Register);
    assert_eq!(error.to_string(), "no answer within 30s while waiting for RegisterThing");
    assert!(Run::to_connecting().machine.deadline().is_none(), "connecting has a limit of its own");
}

#[test]
fn a_hang_up_names_the_arrow_and_what_to_look_at() {
    for (mut run, step) in [
        (Run::to_subscribing_create(), Step::SubscribeCreate),
        (Run::to_creating(), Step::Create),
        (Run::to_subscribing_register(), Step::SubscribeRegister),
        (Run::to_registering(), Step::Register),
    ] {
        let (error, _) = run.interrupts(hang_up());
        assert!(matches!(&error, ProvisionError::Ended { step: found, .. } if *found == step), "{error:?}");
        assert!(error.to_string().contains("claim certificate missing policy, inactive, or wrong endpoint"));
    }
}

#[test]
fn a_refused_subscription_ends_the_attempt() {
    let refused = SubscribeError::Refused { filter: "x".to_owned() };
    let (error, _) = Run::to_subscribing_create().interrupts(Input::SubscribeRefused(refused));
    assert!(matches!(error, ProvisionError::SubscriptionRefused { step: Step::SubscribeCreate, .. }));
}

#[test]
fn rejections_are_final_or_not_by_their_status() {
    let cases = [
        (400, None),
        (401, None),
        (403, Some(5)),
        (404, None),
        (409, None),
        (429, Some(5)),
        (500, Some(1)),
        (503, Some(1)),
    ];
    for (status, delay) in cases {
        for (mut run, request) in [(Run::to_creating(), CREATE), (Run::to_registering(), REGISTER)] {
            let input = rejected(request, status, "Code");
            let error = match delay {
                None => run.fails(input),
                Some(least) => {
                    let (error, delay) = run.interrupts(input);
                    assert_eq!(delay, Duration::from_secs(least), "{status}");
                    error
                }
            };
            assert_eq!(error.is_retryable(), delay.is_some(), "{status}");
            let text = error.to_string();
            assert!(text.contains(&format!("status {status}, Code: no")), "{text}");
        }
    }
}

#[test]
fn a_hook_that_refuses_is_asked_a_bounded_number_of_times_with_one_certificate() {
    let claim = claim().retry(RetryPolicy::default().refusals(3));
    let mut run = Run::resume(&claim, issued("c0", Duration::ZERO));
    for attempt in 1..=3 {
        run.connects();
        run.give(Input::Connected);
        run.subscribe(REGISTER);
        run.request(REGISTER);
        let refusal = rejected(REGISTER, 403, "AccessDenied");
        if attempt < 3 {
            run.interrupts(refusal);
            run.elapse();
        } else {
            let error = run.fails(refusal);
            assert!(matches!(&error, ProvisionError::GaveUp { attempts: 3, .. }), "{error:?}");
            assert!(!error.is_retryable());
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
    let mut run = Run::resume(&claim(), issued("c0", 54 * MINUTE));
    run.connects();
    run.give(Input::Connected);
    run.subscribe(REGISTER);
    assert_eq!(run.request(REGISTER)["certificateOwnershipToken"], TOKEN);
    run.give(answer(REGISTER, "accepted", &registered("line7-press3")));
    let Record::Registered(identity) = run.persists() else { panic!("a record") };
    assert_eq!(identity.certificate_id().as_str(), "c0");
}

#[test]
fn an_old_token_is_not_tried() {
    let mut run = Run::new(&claim(), Start::Issued(issued("c0", 56 * MINUTE)));
    run.elapse();
    assert!(!run.prepares(), "a new certificate is asked for");
}

#[test]
fn a_token_grows_old_while_attempts_fail() {
    let mut run = Run::to_registering();
    run.interrupts(hang_up());
    run.now.wall += 56 * MINUTE;
    run.elapse();
    run.prepares();
}

#[test]
fn a_token_from_the_future_is_tried() {
    let later = SystemTime::now() + 60 * MINUTE;
    let one = issued("c0", Duration::ZERO);
    let early =
        IssuedCertificate::new(one.certificate_id().clone(), one.credentials().clone(), one.token().clone(), later);
    let mut run = Run::resume(&claim(), early);
    run.connects();
    run.give(Input::Connected);
    run.subscribe(REGISTER);
}

#[test]
fn a_token_that_may_be_spent_leads_to_a_new_certificate_on_a_session_of_its_own() {
    let mut run = Run::resume(&claim(), issued("c0", Duration::ZERO));
    run.connects();
    run.give(Input::Connected);
    run.subscribe(REGISTER);
    run.request(REGISTER);
    let (error, _) = run.interrupts(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken"));
    assert!(matches!(error, ProvisionError::TokenRefused { status_code: 400, .. }), "{error:?}");
    run.elapse();
    assert!(!run.prepares());
    run.give(Input::Prepared(None));
    run.connects();
    // That answer once more: it belongs to the session before.
    run.give(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken"));
    run.give(Input::Connected);
    run.subscribe(CREATE);
    run.obtains_certificate("c1");
    run.subscribe(REGISTER);
    run.request(REGISTER);
    let error = run.fails(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken"));
    assert!(!error.is_retryable(), "but not for ever");
}

#[test]
fn a_register_that_stayed_unanswered_makes_its_token_doubtful() {
    let mut run = Run::to_registering();
    run.interrupts(hang_up());
    run.elapse();
    run.connects();
    run.give(Input::Connected);
    run.subscribe(REGISTER);
    run.request(REGISTER);
    let (error, _) = run.interrupts(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken"));
    assert!(matches!(error, ProvisionError::TokenRefused { status_code: 400, .. }), "{error:?}");
    run.elapse();
    run.prepares();
}

#[test]
fn certificates_whose_registration_gets_lost_are_bounded() {
    let mut run = Run::new(&claim().retry(RetryPolicy::default().refusals(3)), Start::Empty);
    let mut certificates = 0;
    let error = loop {
        run.elapse();
        if run.machine.state() == "Preparing" {
            run.prepares();
            run.give(Input::Prepared(None));
            run.connects();
            run.give(Input::Connected);
            run.subscribe(CREATE);
            certificates += 1;
            run.obtains_certificate("c1");
        } else {
            run.connects();
            run.give(Input::Connected);
        }
        run.subscribe(REGISTER);
        run.request(REGISTER);
        // The answer to the first use of a token is lost, and its second use refused.
        run.interrupts(hang_up());
        run.elapse();
        run.connects();
        run.give(Input::Connected);
        run.subscribe(REGISTER);
        run.request(REGISTER);
        match run.try_give(rejected(REGISTER, 400, "InvalidCertificateOwnershipToken")) {
            Ok(()) => while run.machine.poll().is_some() {},
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ProvisionError::GaveUp { attempts: 3, .. }), "{error:?}");
    assert_eq!(certificates, 3);
}

#[test]
fn an_identity_that_is_refused_for_long_gives_way_to_the_claim_and_an_absent_network_says_nothing() {
    let mut run = Run::to_proving();
    let away = || ConnectError::Timeout { endpoint: "localhost:8883".to_owned(), within: MINUTE };
    run.now.random = u64::MAX;
    let began = run.now.instant;
    while run.now.instant - began < 24 * 60 * MINUTE {
        run.interrupts(Input::ConnectFailed(away()));
        run.elapse();
        assert!(matches!(run.connects(), Login::Device(_)));
    }
    let began = run.now.instant;
    loop {
        run.interrupts(Input::ConnectFailed(closed()));
        run.elapse();
        if run.machine.state() == "Preparing" {
            break;
        }
        assert!(matches!(run.connects(), Login::Device(_)));
    }
    assert!(run.now.instant - began >= 6 * 60 * MINUTE, "{:?}", run.now.instant - began);
}

#[test]
fn a_renewed_identity_that_is_refused_leaves_the_present_one() {
    let mut run = to_renewed("line7-press3");
    run.persists();
    run.give(Input::Persisted);
    run.disconnects();
    let error = loop {
        run.elapse();
        run.connects();
        match run.try_give(Input::ConnectFailed(closed())) {
            Ok(()) => while run.machine.poll().is_some() {},
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ProvisionError::GaveUp { attempts: 5, .. }), "{error:?}");
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
    let mut no_token = created("c1");
    no_token["certificateOwnershipToken"] = "".into();
    for (mut run, input, step) in [
        (Run::to_creating(), answer(CREATE, "accepted", &json!({})), Step::Create),
        (Run::to_creating(), answer(CREATE, "accepted", &wrong_key), Step::Create),
        (Run::to_creating(), answer(CREATE, "accepted", &no_token), Step::Create),
        (Run::to_creating(), answer(CREATE, "accepted", &created("../c1")), Step::Create),
        (Run::to_creating(), answer(CREATE, "rejected", &json!("no")), Step::Create),
        (Run::to_registering(), answer(REGISTER, "accepted", &registered("line 7")), Step::Register),
    ] {
        let (error, _) = run.interrupts(input);
        assert!(matches!(&error, ProvisionError::Answer { step: found, .. } if *found == step), "{error:?}");
    }
}

#[test]
fn a_clock_that_is_not_set_is_waited_for_and_the_claim_is_not_spent() {
    let mut run = Run::new(&claim(), Start::Empty);
    let right = std::mem::replace(&mut run.now.wall, SystemTime::UNIX_EPOCH);
    run.elapse();
    for _ in 0..100 {
        let Some(Action::Report { error, retry_in }) = run.machine.poll() else { panic!("a report") };
        assert_eq!(
            error.to_string(),
            "this machine's clock says 1970-01-01T00:00:00Z, which is before 2026-11-01T00:00:00Z: set it, for example by NTP"
        );
        assert_eq!(retry_in, Some(Duration::from_secs(10)));
        run.idle();
        run.elapse();
    }
    run.machine.poll();
    run.now.wall = right;
    run.elapse();
    run.prepares();
}

#[test]
fn a_claim_whose_time_is_over_is_final() {
    let at = SystemTime::now() + 5 * MINUTE;
    let claim = claim().expires_at(at);
    let mut run = Run::new(&claim, Start::Empty);
    run.elapse();
    run.prepares();
    let mut run = Run::new(&claim, Start::Empty);
    run.now.wall = at + MINUTE;
    let error = run.fails(Input::Elapsed);
    assert!(matches!(error, ProvisionError::ClaimExpired { at: found, .. } if found == at), "{error:?}");
}

#[test]
fn a_full_disk_is_noticed_before_a_certificate_is_asked_for() {
    let mut run = Run::start();
    run.prepares();
    let (error, _) = run.interrupts(Input::NotPrepared(disk_full()));
    assert!(matches!(error, ProvisionError::Store(_)));
    let mut run = Run::start();
    run.prepares();
    assert!(!run.fails(Input::NotPrepared(no_permission())).is_retryable());
}

#[test]
fn a_certificate_that_cannot_be_kept_is_kept_later_and_never_asked_for_again() {
    let mut run = Run::to_storing_issued();
    run.persists();
    for _ in 0..5 {
        run.interrupts(Input::NotPersisted(disk_full()));
        run.elapse();
        assert!(matches!(run.persists(), Record::Issued(one) if one.certificate_id().as_str() == "c1"));
    }
    run.give(Input::Persisted);
    // On the same session.
    run.subscribe(REGISTER);
    run.request(REGISTER);
    let mut run = Run::to_storing_issued();
    run.persists();
    run.fails(Input::NotPersisted(no_permission()));
    run.disconnects();
    run.idle();
}

#[test]
fn a_hang_up_while_keeping_the_certificate_does_not_lose_it() {
    let mut run = Run::to_creating();
    run.give(answer(CREATE, "accepted", &created("c1")));
    run.give(hang_up());
    assert!(matches!(run.persists(), Record::Issued(_)), "still to be kept");
    run.give(Input::Persisted);
    run.connects();
    run.give(Input::Connected);
    run.subscribe(REGISTER);
}

#[test]
fn an_identity_that_cannot_be_kept_is_kept_later() {
    let mut run = Run::to_storing_registered();
    run.persists();
    run.interrupts(Input::NotPersisted(disk_full()));
    run.give(hang_up());
    run.elapse();
    assert!(matches!(run.persists(), Record::Registered(_)));
    run.give(Input::Persisted);
    assert!(matches!(run.connects(), Login::Device(_)));
}

#[test]
fn a_proof_that_cannot_be_noted_does_not_keep_the_device_from_working() {
    let mut run = Run::to_storing_proven();
    run.persists();
    run.give(Input::NotPersisted(no_permission()));
    assert!(matches!(run.machine.poll(), Some(Action::Report { retry_in: None, .. })));
    assert!(matches!(run.machine.poll(), Some(Action::Done(_))));
}

#[test]
fn a_new_identity_that_is_refused_at_first_is_tried_again() {
    let mut run = Run::to_proving();
    for _ in 0..50 {
        let (error, _) = run.interrupts(Input::ConnectFailed(closed()));
        assert_eq!(error.to_string(), "could not connect with the new identity as Thing line7-press3");
        run.elapse();
        assert!(matches!(run.connects(), Login::Device(one) if one.certificate_id().as_str() == "c1"));
    }
    run.give(Input::Connected);
    assert!(matches!(run.persists(), Record::Proven(_)));
}

#[test]
fn a_registered_identity_is_only_proven() {
    let mut run = Run::new(&claim(), Start::Registered(identity("c9", "line7-press3")));
    // The process that was killed may not have synced it.
    assert!(matches!(run.persists(), Record::Registered(_)));
    run.give(Input::Persisted);
    assert!(matches!(run.connects(), Login::Device(_)));
    run.give(Input::Connected);
    assert!(matches!(run.persists(), Record::Proven(_)));
}

#[test]
fn a_certificate_that_the_cloud_has_to_activate_first_is_given_its_time() {
    let mut run = Run::adopt(identity("c9", "line7-press3"), 10 * MINUTE);
    assert!(matches!(run.persists(), Record::Registered(_)));
    run.give(Input::Persisted);
    let began = run.now.instant;
    let mut attempts = 0;
    let error = loop {
        run.connects();
        attempts += 1;
        if run.now.instant - began >= 10 * MINUTE {
            break run.fails(Input::ConnectFailed(closed()));
        }
        run.now.random = u64::MAX;
        run.interrupts(Input::ConnectFailed(closed()));
        run.elapse();
    };
    assert!(matches!(error, ProvisionError::GaveUp { attempts: found, .. } if found == attempts), "{error:?}");
    assert!((8..20).contains(&attempts), "{attempts}");
}

fn rotation() -> (Claim, Identity) {
    let current = identity("c0", "line7-press3");
    let old = claim();
    let claim = Claim::by_device(
        aether_mqtt::Endpoint::new("localhost", 8883).unwrap(),
        aether_mqtt::ServerRoots::mozilla(),
        &current,
        old.template().clone(),
    );
    (claim, current)
}

fn to_renewed(thing_name: &str) -> Run {
    let (claim, current) = rotation();
    let now = now();
    let mut run = Run { machine: Provisioner::renew(&claim, current.thing_name(), Start::Empty, now), now };
    run.elapse();
    run.prepares();
    run.give(Input::Prepared(None));
    run.connects();
    run.give(Input::Connected);
    run.subscribe(CREATE);
    run.obtains_certificate("c1");
    run.subscribe(REGISTER);
    run.request(REGISTER);
    let _ = run.try_give(answer(REGISTER, "accepted", &registered(thing_name)));
    run
}

#[test]
fn a_rotation_by_the_device_itself_leaves_its_client_id_a_second_before_taking_it_again() {
    let mut run = to_renewed("line7-press3");
    run.persists();
    run.give(Input::Persisted);
    run.disconnects();
    run.idle();
    assert_eq!(run.machine.state(), "Resting");
    let pause = run.machine.deadline().unwrap() - run.now.instant;
    assert!(pause > Duration::from_secs(1), "{pause:?}");
    run.elapse();
    assert!(matches!(run.connects(), Login::Device(one) if one.certificate_id().as_str() == "c1"));
}

#[test]
fn a_rotation_that_is_answered_with_another_thing_is_final() {
    let (claim, current) = rotation();
    let mut run = to_renewed("other-thing");
    assert_eq!(run.machine.state(), "Failed");
    run.disconnects();
    // And says so.
    let now = now();
    let mut run = Run {
        machine: Provisioner::renew(&claim, current.thing_name(), Start::Issued(issued("c1", Duration::ZERO)), now),
        now,
    };
    run.elapse();
    run.persists();
    run.give(Input::Persisted);
    run.connects();
    run.give(Input::Connected);
    run.subscribe(REGISTER);
    run.request(REGISTER);
    let error = run.fails(answer(REGISTER, "accepted", &registered("other-thing"))).to_string();
    assert!(error.contains("Thing other-thing") && error.contains("line7-press3"), "{error}");
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
    let own = own_key();
    shown += &format!("{own:?} {:?}", own_key_claim());
    let pem = String::from_utf8(own.key.pem().unwrap().to_vec()).unwrap();
    for key in [value["privateKey"].as_str().unwrap(), pem.as_str()] {
        assert!(!shown.contains(key.lines().nth(1).unwrap()), "{shown}");
    }
    assert!(shown.contains("Persist") && !shown.contains(TOKEN), "{shown}");
    // Neither as a list of bytes.
    assert!(!shown.contains("45, 45, 45"), "{shown}");
    let _: &PrivateKey = &own.key;
}
