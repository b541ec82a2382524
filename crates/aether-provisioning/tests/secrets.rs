//! A whole provisioning run, watched at trace level: no secret shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aether_mqtt::testing;
use aether_mqtt::{ConnectError, Credentials};
use aether_provisioning::{Contents, IdentityStore, MemoryStore, provision};
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
        for line in key.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!shown.contains(line), "a key shows");
        }
    }
    assert!(!shown.contains(TOKEN), "the token shows");
}
