//! Customer CAs given as files: registered, counted, taken back.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::*;
use crate::CertificateId;
use crate::account::{NewCertificate, Place};
use crate::clock::Clock;

fn certificate(is_ca: IsCa) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = is_ca;
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn sandbox_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    disk::create_private_dir(&layout.customer_cas()).unwrap();
    std::fs::write(layout.settings(), "{}").unwrap();
    dir
}

#[test]
fn a_ca_is_registered_once_under_its_hash() {
    let dir = sandbox_dir();
    let pem = certificate(IsCa::Ca(BasicConstraints::Unconstrained));
    let id = register_ca(dir.path(), pem.as_bytes()).unwrap();
    assert_eq!(register_ca(dir.path(), pem.as_bytes()).unwrap(), id);
    assert_eq!(std::fs::read_dir(Layout::new(dir.path()).customer_cas()).unwrap().count(), 1);
}

#[test]
fn what_is_no_ca_or_no_sandbox_is_refused_with_the_reason() {
    let dir = sandbox_dir();
    let leaf = certificate(IsCa::ExplicitNoCa);
    assert!(matches!(register_ca(dir.path(), leaf.as_bytes()), Err(RegisterCaError::NotACa { .. })));
    assert!(matches!(register_ca(dir.path(), b"junk"), Err(RegisterCaError::NotACertificate(_))));
    let ca = certificate(IsCa::Ca(BasicConstraints::Unconstrained));
    let nowhere = dir.path().join("nowhere");
    assert!(matches!(register_ca(&nowhere, ca.as_bytes()), Err(RegisterCaError::NotASandbox { .. })));
    assert!(!nowhere.exists());
}

#[test]
fn a_key_usage_has_to_allow_signing_certificates() {
    let dir = sandbox_dir();
    let with_usage = |usage| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![usage];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    };
    let refused = register_ca(dir.path(), with_usage(KeyUsagePurpose::CrlSign).as_bytes()).unwrap_err();
    assert!(matches!(refused, RegisterCaError::MayNotSign { .. }), "{refused}");
    assert!(register_ca(dir.path(), with_usage(KeyUsagePurpose::KeyCertSign).as_bytes()).is_ok());
}

/// A CA's PEM text and a leaf it signed.
fn ca_and_leaf(name: &str) -> (String, Certificate) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let leaf = CertificateParams::default().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    (ca.pem(), Certificate::parse(leaf.der()).unwrap())
}

/// Gives the folder a modification time of long ago, another at each call.
fn settle(folder: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(3600) + Duration::from_secs(seconds);
    std::fs::File::open(folder).unwrap().set_modified(time).unwrap();
}

fn account(dir: &tempfile::TempDir) -> Account {
    let place = Place { region: "eu-west-1".into(), account_id: "123456789012".into() };
    Account::open(&Layout::new(dir.path()).account(), place, Clock::default()).unwrap()
}

fn subjects(account: &Account) -> usize {
    account.read().cas.size()
}

#[test]
fn a_ca_counts_from_its_registration_to_its_removal() {
    let dir = sandbox_dir();
    let (cas, account) = (CaFolder::new(Layout::new(dir.path()).customer_cas()), account(&dir));
    cas.refresh(&account);
    assert_eq!(subjects(&account), 0);
    let (first, leaf) = ca_and_leaf("one");
    let id = register_ca(dir.path(), first.as_bytes()).unwrap();
    cas.refresh(&account);
    assert!(account.read().cas.get(&id).is_some_and(|ca| ca.signs_claims && ca.status == CaStatus::Active));
    let claim = CertificateId::of_der(leaf.der());
    account
        .change(|tx| {
            tx.create_certificate(NewCertificate {
                kind: CertificateKind::Claim,
                ca: Some(id.clone()),
                ..NewCertificate::issued(claim.clone(), String::new(), CertificateStatus::Active)
            })
        })
        .unwrap();
    register_ca(dir.path(), ca_and_leaf("two").0.as_bytes()).unwrap();
    cas.refresh(&account);
    assert_eq!(subjects(&account), 2);
    std::fs::remove_file(cas.folder.join(format!("{id}.pem"))).unwrap();
    cas.refresh(&account);
    assert!(!account.read().cas.contains_key(&id) && subjects(&account) == 1);
    assert_eq!(account.read().certificate(&claim).unwrap().status, CertificateStatus::Inactive);
    std::fs::remove_dir_all(&cas.folder).unwrap();
    cas.refresh(&account);
    assert_eq!(subjects(&account), 0);
}

#[test]
fn an_unchanged_folder_is_not_read_again_and_a_changed_one_is() {
    let dir = sandbox_dir();
    let (cas, account) = (CaFolder::new(Layout::new(dir.path()).customer_cas()), account(&dir));
    settle(&cas.folder, 0);
    cas.refresh(&account);
    register_ca(dir.path(), ca_and_leaf("one").0.as_bytes()).unwrap();
    // With the old time put back, nothing shows that the folder was written to.
    let time = cas.known.lock().unwrap().read_at.unwrap();
    std::fs::File::open(&cas.folder).unwrap().set_modified(time).unwrap();
    cas.refresh(&account);
    assert_eq!(subjects(&account), 0);
    settle(&cas.folder, 1);
    cas.refresh(&account);
    assert_eq!(subjects(&account), 1);
}

#[test]
fn a_file_that_cannot_be_used_is_reported_once_and_keeps_no_other_from_working() {
    let dir = sandbox_dir();
    let (cas, account) = (CaFolder::new(Layout::new(dir.path()).customer_cas()), account(&dir));
    let reported = || cas.known.lock().unwrap().reported.len();
    std::fs::write(cas.folder.join("a.pem"), "junk").unwrap();
    std::fs::write(cas.folder.join("b.pem"), certificate(IsCa::ExplicitNoCa)).unwrap();
    register_ca(dir.path(), ca_and_leaf("one").0.as_bytes()).unwrap();
    cas.refresh(&account);
    assert_eq!((subjects(&account), reported()), (1, 2));
    settle(&cas.folder, 0);
    cas.refresh(&account);
    assert_eq!((subjects(&account), reported()), (1, 2));
    std::fs::remove_file(cas.folder.join("a.pem")).unwrap();
    cas.refresh(&account);
    assert_eq!((subjects(&account), reported()), (1, 1));
}
