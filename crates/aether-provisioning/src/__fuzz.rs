//! Entry points for the fuzz targets in `/fuzz`. Not for use, and under no promise.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aether_mqtt::{Credentials, PrivateKey};

use crate::simulated::{SimulatedDisk, Unsynced};
use crate::{
    AnswerProblem, Encoding, Identity, IdentityStore as _, IssuedCertificate, KeySource as _, OwnershipToken,
    SoftwareKeys, ThingName,
};

const ROOT: &str = "/state";

/// What the store keeps, at the places where a store of two identities and a staged one keeps it.
const FILES: [&str; 14] = [
    "active",
    "previous",
    "pending",
    "unconfirmed",
    "staged.key",
    "staged.locator",
    "identities/c1/certificate.pem",
    "identities/c1/private.key",
    "identities/c1/key.locator",
    "identities/c1/identity.json",
    "identities/c2/issued.json",
    "identities/c2/identity.json",
    "identities/c2/private.key",
    "identities/c2/certificate.pem",
];

/// Reads the answers of the three operations and their rejections.
///
/// # Panics
///
/// When an answer leads to what it must not.
pub fn answer(encoding: Encoding, payload: &[u8]) {
    static OWN: OnceLock<PrivateKey> = OnceLock::new();
    let own = OWN.get_or_init(|| SoftwareKeys::default().make().expect("a key of the default kind"));
    for key in [None, Some(own)] {
        match encoding.read_created(payload, key) {
            Ok(created) => {
                assert!(!created.token.reveal().is_empty());
                assert!(Path::new(created.certificate_id.as_str()).components().count() == 1, "it names a directory");
                let public = created.credentials.private_key().public_key_der();
                assert!(key.is_none_or(|own| own.public_key_der() == public), "a certificate of another key");
            }
            Err(problem) => check(&problem),
        }
    }
    match encoding.read_registered(payload) {
        Ok(registered) => {
            let parsed = registered.thing_name.map(|name| name.as_str().parse::<ThingName>().is_ok());
            assert!(parsed != Some(false), "a name that is none");
        }
        Err(problem) => check(&problem),
    }
    match encoding.read_rejected(payload) {
        Ok(rejection) => {
            for text in [&rejection.error_code, &rejection.error_message] {
                assert!(text.chars().count() <= 512 && !text.contains(char::is_control), "{text:?}");
            }
        }
        Err(problem) => check(&problem),
    }
}

fn check(problem: &AnswerProblem) {
    let mut next: Option<&dyn std::error::Error> = Some(problem);
    while let Some(error) = next {
        assert!(error.to_string().len() < 2048, "an error stays readable");
        next = error.source();
    }
}

/// Opens a store some of whose files hold something else, and goes on with it: first the number of a file, then the
/// length of its content by 16 in one byte, then the content, and so on.
///
/// # Panics
///
/// When the store fails where it has to pass damage over.
pub fn store(input: &[u8]) {
    let disk = kept().fork(0);
    let mut rest = input;
    while let [file, length, more @ ..] = rest {
        let (content, after) = more.split_at(more.len().min(usize::from(*length) * 16));
        disk.put(Path::new(ROOT).join(FILES[usize::from(*file) % FILES.len()]), content);
        rest = after;
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600);
    let store = disk.store(ROOT);
    let found = store.load(now).expect("damage is passed over");
    for finding in &found.findings {
        assert!(finding.to_string().len() < 4096, "a finding stays readable");
    }
    let active = found.active.as_ref().map(|one| one.certificate_id().clone());

    // Whatever is damaged, a device can be provisioned; no pointer names its certificate already.
    let is_named = |id: &str| disk.files().values().any(|text| text.windows(id.len()).any(|one| one == id.as_bytes()));
    let id = (3..).map(|number| format!("c{number}")).find(|id| !is_named(id)).expect("an id that is free");
    store.prepare().expect("there is room");
    let issued = issued(&id);
    store.stage_issued(&issued).expect("a certificate is kept");
    let identity = issued.registered("press-3".parse().expect("a name"), Default::default());
    store.stage_registered(&identity).expect("an identity is kept");
    let still = store.load(now).expect("what was written is read").active.map(|one| one.certificate_id().clone());
    assert_eq!(still, active, "what is under way changes nothing of what is active");
    store.promote(&identity).expect("it becomes the active one");
    drop(store);
    disk.cut_power(Unsynced::Lost);
    let after = disk.store(ROOT).load(now).expect("what was written is read");
    assert_eq!(after.active.map(|one| one.certificate_id().to_string()).as_deref(), Some(&*id));
    assert_eq!(after.previous.map(|one| one.certificate_id().clone()), active, "what was active is kept");
}

/// A store with an active identity and a certificate that was issued.
fn kept() -> &'static SimulatedDisk {
    static KEPT: OnceLock<SimulatedDisk> = OnceLock::new();
    KEPT.get_or_init(|| {
        let disk = SimulatedDisk::new(0);
        let store = disk.store(ROOT);
        let identity = |id: &str| -> Identity {
            issued(id).registered("press-3".parse().expect("a name"), [("site".into(), "hall-b".into())].into())
        };
        store.promote(&identity("c1")).expect("it is kept");
        store.stage_issued(&issued("c2")).expect("it is kept");
        drop(store);
        disk
    })
}

fn issued(id: &str) -> IssuedCertificate {
    static PAIR: OnceLock<Credentials> = OnceLock::new();
    let credentials = PAIR.get_or_init(|| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        Credentials::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).expect("a pair")
    });
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_300_000);
    IssuedCertificate::new(id.parse().expect("an id"), credentials.clone(), OwnershipToken::new("token"), at)
}
