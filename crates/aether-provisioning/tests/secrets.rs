//! A whole provisioning run, watched at trace level: no secret shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aether_mqtt::testing;
use aether_mqtt::{ConnectError, Credentials};
use aether_provisioning::{
    Contents, DirectoryStore, Encoding, IdentityStore, KeyKind, KeyPlan, MemoryStore, Provisioned, SoftwareKeys,
    provision, renew_until,
};
use support::{Answer, TOKEN, chain, claim_with, cloud, created, registered, soon};

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn contents(store: &Arc<dyn IdentityStore>) -> Contents {
    store.load(std::time::SystemTime::now()).unwrap()
}

/// Fails where a line of a key shows.
#[track_caller]
fn assert_hides(shown: &str, key: &str) {
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!shown.contains(line), "a key shows");
    }
}

#[tokio::test(start_paused = true)]
async fn neither_does_a_key_of_the_devices_own_show_nor_what_a_rotation_brings() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let store: Arc<dyn IdentityStore> = Arc::new(DirectoryStore::new(&directory));
    let broker = cloud(
        [Answer::Silence, Answer::Certified("c1"), Answer::Certified("c2")],
        [
            Answer::Rejected(403, "AccessDenied"),
            Answer::Accepted(registered("line7-press3")),
            Answer::Accepted(registered("line7-press3")),
        ],
    );
    let claim = claim_with(testing::credentials("AetherClaimCert"))
        .encoding(Encoding::Cbor)
        .keys(KeyPlan::OnDevice(Arc::new(SoftwareKeys::new(KeyKind::EcP256))));
    let connector = broker.connector();
    let first = soon(provision(&connector, &claim, &store, &|_| {})).await.unwrap();
    let renewed = renew_until(&connector, &claim, &first.identity, &store, &|_| {}, std::future::pending());
    let second = soon(renewed).await.unwrap().expect("nobody stops it");
    assert_ne!(first.identity.certificate_id(), second.identity.certificate_id());

    // And what is found damaged, with the key and the token in it.
    let home = directory.join("identities").join(second.identity.certificate_id().as_str());
    let key = |one: &Provisioned| {
        String::from_utf8(one.identity.credentials().private_key().pem().unwrap().to_vec()).unwrap()
    };
    std::fs::write(home.join("private.key"), key(&second).replacen("-----END", "=\n-----END", 1)).unwrap();
    std::fs::write(home.join("identity.json"), format!("{{ \"thing_name\": {TOKEN}")).unwrap();
    let damaged = contents(&store);
    assert!(!damaged.findings.is_empty());
    let told: String = damaged.findings.iter().map(|one| chain(one)).collect();

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let shown = format!("{logged} {told} {claim:?} {store:?} {damaged:?} {first:?} {second:?}", store = directory);
    assert!(shown.contains("proven"), "{shown}");
    assert_hides(&shown, &key(&first));
    assert_hides(&shown, &key(&second));
    assert!(!shown.contains(TOKEN), "the token shows");
}

#[tokio::test(start_paused = true)]
async fn no_log_debug_output_or_error_shows_a_key_or_a_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (claim_certificate, claim_key) = testing::self_signed("AetherClaimCert");
    let answer = created("c0");
    let device_key = answer["privateKey"].as_str().unwrap().to_owned();
    let mut unusable = created("c1");
    unusable["certificateId"] = "a/b".into();
    let broker = cloud(
        [Answer::Garbage, Answer::Accepted(unusable.clone()), Answer::Late(Duration::from_secs(1), answer)],
        [Answer::Silence, Answer::Rejected(500, "InternalFailure"), Answer::Accepted(registered("line7-press3"))],
    );
    broker.fail_connects([ConnectError::Closed { endpoint: "localhost:8883".to_owned() }]);
    let credentials = Credentials::from_pem(claim_certificate.as_bytes(), claim_key.as_bytes()).unwrap();
    let (claim, store): (_, Arc<dyn IdentityStore>) = (claim_with(credentials), Arc::new(MemoryStore::default()));
    let identity = soon(provision(&broker.connector(), &claim, &store, &|_| {})).await.unwrap().identity;

    // And an error that ends it.
    let failing = cloud([Answer::Accepted(created("c2"))], [Answer::Rejected(400, "InvalidParameters")]);
    let other_store: Arc<dyn IdentityStore> = Arc::new(MemoryStore::default());
    let error = soon(provision(&failing.connector(), &claim, &other_store, &|_| {})).await.err().unwrap();

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("certificate-issued") && logged.contains("could not provision"), "{logged}");
    let shown = format!(
        "{logged} {claim:?} {:?} {:?} {identity:?} {error:?} {}",
        contents(&store),
        contents(&other_store),
        chain(&error)
    );
    let keys = [claim_key, device_key, unusable["privateKey"].as_str().unwrap().to_owned()];
    for key in keys {
        assert_hides(&shown, &key);
    }
    assert!(!shown.contains(TOKEN), "the token shows");
}
