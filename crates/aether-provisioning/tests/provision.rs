//! The driver over the fake broker: attempts, restarts, and what reaches the cloud.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aether_mqtt::testing::{self, FakeBroker, SubscribeReaction};
use aether_mqtt::{ConnectError, Credentials};
use aether_provisioning::{
    Adoption, Contents, DirectoryStore, Encoding, Identity, IdentityStore, KeyKind, KeyPlan, MemoryStore,
    ProvisionError, SoftwareKeys, Stage, Staged, adopt_until, provision, provision_until, renew_until,
};
use support::{
    Answer, REGISTER, chain, claim, claim_with, cloud, created, identity, issued, registered, requests, soon,
};

/// What happens, the first answers of each operation, and how often each is then asked for.
type Case = (&'static str, Vec<Answer>, Vec<Answer>, (usize, usize));

async fn run(broker: &FakeBroker, store: &Arc<dyn IdentityStore>) -> Result<Identity, ProvisionError> {
    soon(provision(&broker.connector(), &claim(), store, &|_| {})).await.map(|done| done.identity)
}

fn memory() -> Arc<dyn IdentityStore> {
    Arc::new(MemoryStore::default())
}

fn kept(store: &Arc<dyn IdentityStore>) -> Contents {
    store.load(SystemTime::now()).unwrap()
}

fn active_id(store: &Arc<dyn IdentityStore>) -> String {
    kept(store).active.expect("an active identity").certificate_id().to_string()
}

/// A cloud where everything goes well, as often as needed.
fn good_cloud() -> FakeBroker {
    let again = 0..8;
    cloud(
        again.clone().map(|n| Answer::Accepted(created(&format!("c{n}")))),
        again.map(|_| Answer::Accepted(registered("line7-press3"))),
    )
}

#[tokio::test(start_paused = true)]
async fn a_claim_becomes_an_identity_stage_by_stage() {
    let (broker, store, stages) = (good_cloud(), memory(), Mutex::new(Vec::new()));
    let note = |stage| stages.lock().unwrap().push(stage);
    let claim_credentials = testing::credentials("AetherClaimCert");
    let claim = claim_with(claim_credentials.clone());
    let done = soon(provision(&broker.connector(), &claim, &store, &note)).await.unwrap();
    let identity = done.identity;

    assert_eq!(identity.thing_name().as_str(), "line7-press3");
    let thing_name = identity.thing_name().clone();
    let expected = [
        Stage::ClaimConnected,
        Stage::CertificateIssued { certificate_id: "c0".to_owned() },
        Stage::ThingRegistered { thing_name: thing_name.clone() },
        Stage::Proven { thing_name },
    ];
    assert_eq!(*stages.lock().unwrap(), expected);
    assert_eq!(active_id(&store), "c0");
    assert!(!kept(&store).unconfirmed, "a first identity takes over from none");

    let connects = broker.connects();
    assert_eq!(connects.len(), 2);
    assert!(connects[0].client_id.as_str().starts_with("aether-claim-"));
    assert_eq!(connects[0].certificate_der, claim_credentials.certificate_der());
    assert_eq!(connects[1].client_id.as_str(), "line7-press3");
    assert_eq!(connects[1].certificate_der, identity.credentials().certificate_der());
    assert_eq!(broker.disconnects().len(), 1, "the claim session says goodbye");
    // The connection that proved it is there to go on with.
    let ticket = done.session.unwrap().publish(&identity.thing_name().to_topic(), Arc::from(*b"{}"));
    assert!(ticket.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_but_the_provisioning_topics_is_touched_and_each_only_after_its_subacks() {
    let broker = good_cloud();
    run(&broker, &memory()).await.unwrap();
    let filters: Vec<String> = broker.subscribes().iter().map(|s| s.filter.to_string()).collect();
    let expected = [
        "$aws/certificates/create/json/accepted",
        "$aws/certificates/create/json/rejected",
        "$aws/provisioning-templates/Aether/provision/json/accepted",
        "$aws/provisioning-templates/Aether/provision/json/rejected",
    ];
    assert_eq!(filters, expected);
    assert_eq!(requests(&broker), (1, 1));
    assert_eq!(broker.publishes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_is_there_needs_no_claim() {
    for promoted in [false, true] {
        let (broker, store) = (FakeBroker::new(), memory());
        let before = identity("c9", "line7-press3");
        store.stage_registered(&before).unwrap();
        if promoted {
            store.promote(&before).unwrap();
        }
        assert_eq!(run(&broker, &store).await.unwrap().certificate_id().as_str(), "c9");
        // One that has not connected yet does so, as itself.
        let expected = if promoted { vec![] } else { vec!["line7-press3"] };
        let connects = broker.connects();
        assert_eq!(connects.iter().map(|one| one.client_id.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(active_id(&store), "c9");
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_in_the_middle_it_says_goodbye_and_the_next_call_goes_on() {
    let (broker, store) = (cloud([Answer::Accepted(created("c0"))], []), memory());
    let registering = broker.until(|b| requests(b).1 == 1);
    let (connector, claim) = (broker.connector(), claim());
    let stopped = provision_until(&connector, &claim, &store, &|_| {}, registering);
    assert!(matches!(soon(stopped).await, Ok(None)));
    assert_eq!(broker.disconnects().len(), 1, "it says goodbye");
    assert!(matches!(kept(&store).staged, Staged::Issued(kept) if kept.certificate_id().as_str() == "c0"));
    let broker = cloud([], [Answer::Accepted(registered("line7-press3"))]);
    assert_eq!(run(&broker, &store).await.unwrap().certificate_id().as_str(), "c0");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_is_tried_again_with_a_growing_delay() {
    let (broker, store) = (good_cloud(), memory());
    broker.fail_connects((0..4).map(|_| ConnectError::Closed { endpoint: "localhost:8883".to_owned() }));
    let start = tokio::time::Instant::now();
    run(&broker, &store).await.unwrap();
    assert_eq!(broker.connects().len(), 6);
    let took = start.elapsed();
    // Four delays of 1 s at least, and of 2, 4, 8 and 16 s at most.
    assert!((Duration::from_secs(4)..=Duration::from_secs(31)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_hangs_or_refuses_and_is_tried_again() {
    for reaction in [SubscribeReaction::HangUp, SubscribeReaction::Refuse, SubscribeReaction::Ignore] {
        let (broker, store) = (good_cloud(), memory());
        let mut first = true;
        broker.on_subscribe(move |_| if std::mem::take(&mut first) { reaction } else { SubscribeReaction::Accept });
        run(&broker, &store).await.unwrap();
        assert_eq!(broker.connects().len(), 3, "{reaction:?}");
        assert_eq!(requests(&broker), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn losses_on_the_way_never_cost_more_than_the_request_they_hit() {
    let cases: [Case; 12] = [
        ("create unanswered", vec![Answer::Silence], vec![], (2, 1)),
        ("hang-up at create", vec![Answer::HangUp], vec![], (2, 1)),
        ("create throttled", vec![Answer::Rejected(429, "Throttled")], vec![], (2, 1)),
        ("create garbled", vec![Answer::Garbage], vec![], (2, 1)),
        ("create late", vec![Answer::Late(Duration::from_secs(29), created("late"))], vec![], (1, 1)),
        ("create too late", vec![Answer::Late(Duration::from_secs(31), created("late"))], vec![], (2, 1)),
        ("create answered twice", vec![Answer::Twice(created("twice"))], vec![], (1, 1)),
        ("register unanswered", vec![], vec![Answer::Silence], (1, 2)),
        ("hang-up at register", vec![], vec![Answer::HangUp], (1, 2)),
        ("hook refuses", vec![], vec![Answer::Rejected(403, "AccessDenied")], (1, 2)),
        ("service fails", vec![], vec![Answer::Rejected(500, "InternalFailure")], (1, 2)),
        ("register answered twice", vec![], vec![Answer::Twice(registered("line7-press3"))], (1, 1)),
    ];
    for (name, create, register, expected) in cases {
        let create = create.into_iter().chain((0..4).map(|n| Answer::Accepted(created(&format!("c{n}")))));
        let register = register.into_iter().chain((0..4).map(|_| Answer::Accepted(registered("line7-press3"))));
        let (broker, store) = (cloud(create, register), memory());
        let identity = run(&broker, &store).await.unwrap();
        assert_eq!(identity.thing_name().as_str(), "line7-press3", "{name}");
        assert_eq!(requests(&broker), expected, "{name}");
        assert!(kept(&store).active.is_some(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_that_is_final_is_returned_at_once() {
    let broker = cloud([Answer::Accepted(created("c0"))], [Answer::Rejected(404, "TemplateNotFound")]);
    let store = memory();
    let error = run(&broker, &store).await.unwrap_err();
    assert!(!error.is_retryable());
    let text = error.to_string();
    assert_eq!(
        text,
        "the service rejected the request while waiting for RegisterThing: status 404, TemplateNotFound: no"
    );
    assert_eq!(requests(&broker), (1, 1));
    assert!(matches!(kept(&store).staged, Staged::Issued(_)), "the certificate is kept for a mended template");
}

#[tokio::test(start_paused = true)]
async fn each_restart_goes_on_from_what_was_kept() {
    // Killed before the certificate was issued, after it, and after the registration.
    let directory = tempfile::tempdir().unwrap();
    let in_memory = memory();
    let on_disk: Arc<dyn IdentityStore> = Arc::new(DirectoryStore::new(directory.path().join("state")));
    for store in [&in_memory, &on_disk] {
        let broker = cloud(
            [Answer::Silence, Answer::Accepted(created("c1"))],
            [Answer::Silence, Answer::Accepted(registered("line7-press3"))],
        );
        let (connector, claim) = (broker.connector(), claim());
        for (wanted, left) in [((1, 0), "Nothing"), ((2, 1), "Issued")] {
            // Dropped as soon as the request is out, as a kill would.
            tokio::select! {
                _ = provision(&connector, &claim, store, &|_| {}) => panic!("there is no answer"),
                () = broker.until(|broker| requests(broker) == wanted) => {}
            }
            let kept = format!("{:?}", kept(store).staged);
            assert!(kept.starts_with(left), "{kept}");
        }
        assert_eq!(run(&broker, store).await.unwrap().certificate_id().as_str(), "c1");
        assert_eq!(requests(&broker), (2, 2), "the certificate of before the kill was used");

        let identity = run(&broker, store).await.unwrap();
        assert_eq!((identity.certificate_id().as_str(), broker.connects().len()), ("c1", 4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_beyond_its_hour_or_spent_leads_to_a_new_certificate() {
    let hour = Duration::from_secs(3600);
    for (age, first, expected, connects) in [
        (hour, None, (1, 1), 2),
        (Duration::ZERO, Some(Answer::Rejected(400, "InvalidCertificateOwnershipToken")), (1, 2), 3),
    ] {
        let register = first.into_iter().chain([Answer::Accepted(registered("line7-press3"))]);
        let broker = cloud([Answer::Accepted(created("new"))], register);
        let store = memory();
        store.stage_issued(&issued("old", age)).unwrap();
        assert_eq!(run(&broker, &store).await.unwrap().certificate_id().as_str(), "new");
        assert_eq!(requests(&broker), expected);
        assert_eq!(broker.connects().len(), connects);
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_beyond_what_a_message_holds_are_a_final_error() {
    let (broker, store) = (good_cloud(), memory());
    let claim = claim().parameters([("Serial".to_owned(), "x".repeat(200 * 1024))].into());
    let error = soon(provision(&broker.connector(), &claim, &store, &|_| {})).await.err().unwrap();
    assert!(!error.is_retryable());
    assert!(chain(&error).contains("at most 131072 are allowed"), "{}", chain(&error));
    assert!(broker.publishes().iter().all(|publish| publish.topic.as_str() != REGISTER));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_stops_before_anything_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("state");
    std::fs::write(&in_the_way, "a file where the directory should be").unwrap();
    let broker = good_cloud();
    let store: Arc<dyn IdentityStore> = Arc::new(DirectoryStore::new(&in_the_way));
    let error = run(&broker, &store).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Store(_)) && !error.is_retryable());
    assert!(chain(&error).contains("state"), "{}", chain(&error));
    assert!(broker.connects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_issued_identity_is_usable_credentials() {
    let (broker, store) = (good_cloud(), memory());
    let identity = run(&broker, &store).await.unwrap();
    let credentials = identity.credentials();
    Credentials::from_pem(credentials.certificate_pem(), credentials.private_key().pem().unwrap()).unwrap();
    assert_eq!(identity.device_configuration()["site"], "hall-b");
}

#[tokio::test(start_paused = true)]
async fn with_a_key_of_its_own_the_device_never_sends_it_and_keeps_it_across_attempts() {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let answers =
            [Answer::HangUp, Answer::Silence, Answer::Rejected(500, "InternalFailure"), Answer::Certified("c3")];
        let (broker, store) = (cloud(answers, [Answer::Accepted(registered("line7-press3"))]), memory());
        let claim = claim().encoding(encoding).keys(KeyPlan::OnDevice(Arc::new(SoftwareKeys::new(KeyKind::EcP256))));
        let done = soon(provision(&broker.connector(), &claim, &store, &|_| {})).await.unwrap();
        assert_eq!(done.identity.certificate_id().as_str(), "c3");
        let requests = support::signing_requests(&broker);
        assert_eq!(requests.len(), 4);
        let key = done.identity.credentials().private_key().clone();
        assert!(requests.iter().all(|one| one.is_for(&key)), "{encoding}: one key for all attempts");
        let secret = String::from_utf8(key.pem().unwrap().to_vec()).unwrap();
        let secret = secret.lines().nth(1).unwrap().as_bytes().to_vec();
        for publish in broker.publishes() {
            assert!(!publish.payload.windows(secret.len()).any(|one| one == secret), "the key was sent");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_the_cloud_activates_later_is_adopted_after_its_first_connects_fail() {
    let (broker, store) = (FakeBroker::new(), memory());
    broker.fail_connects((0..4).map(|_| ConnectError::Closed { endpoint: "localhost:8883".to_owned() }));
    let endpoint = aether_mqtt::Endpoint::new("localhost", 8883).unwrap();
    let adoption = Adoption::new(endpoint, aether_mqtt::ServerRoots::mozilla());
    let connector = broker.connector();
    let own = identity("own", "line7-press3");
    let adopted = adopt_until(&connector, &adoption, own, &store, &|_| {}, std::future::pending());
    let done = soon(adopted).await.unwrap().unwrap();
    assert_eq!((done.identity.certificate_id().as_str(), broker.connects().len()), ("own", 5));
    assert_eq!(active_id(&store), "own");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_replaces_the_identity_and_keeps_the_old_one_until_it_is_confirmed() {
    let (broker, store) = (good_cloud(), memory());
    store.promote(&identity("old", "line7-press3")).unwrap();
    let current = kept(&store).active.unwrap();
    let connector = broker.connector();
    let claim = claim();
    let renewed = renew_until(&connector, &claim, &current, &store, &|_| {}, std::future::pending());
    let done = soon(renewed).await.unwrap().unwrap();
    assert_eq!((done.identity.certificate_id().as_str(), active_id(&store).as_str()), ("c0", "c0"));
    assert!(kept(&store).unconfirmed);
    assert_eq!(kept(&store).previous.unwrap().certificate_id().as_str(), "old");
    store.confirm().unwrap();
    assert!(!kept(&store).unconfirmed);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_refused_leaves_everything_as_it_was() {
    let broker = cloud([Answer::Accepted(created("c0"))], [Answer::Rejected(404, "TemplateNotFound")]);
    let store = memory();
    let current = identity("old", "line7-press3");
    store.promote(&current).unwrap();
    let connector = broker.connector();
    let claim = claim();
    let renewed = renew_until(&connector, &claim, &current, &store, &|_| {}, std::future::pending());
    assert!(!soon(renewed).await.err().unwrap().is_retryable());
    assert_eq!(active_id(&store), "old");
    assert!(matches!(kept(&store).staged, Staged::Nothing));
}
