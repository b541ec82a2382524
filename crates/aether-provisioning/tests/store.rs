//! What every identity store promises, and what the one on disk promises beside that.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod identities;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aether_provisioning::{DirectoryStore, Identity, IdentityStore, MemoryStore, Staged, StoreError};
use identities::{
    LOCATOR, TOKEN, Token, chain, credentials_until, identity, issued, issued_with, key, registered, state,
};

#[track_caller]
fn check_identity(found: Option<Identity>, expected: &Identity) {
    let found = found.expect("an identity");
    assert_eq!(found.thing_name(), expected.thing_name());
    assert_eq!(found.certificate_id(), expected.certificate_id());
    assert_eq!(found.device_configuration(), expected.device_configuration());
    assert_eq!(found.credentials().certificate_pem(), expected.credentials().certificate_pem());
    assert_eq!(found.credentials().private_key().pem(), expected.credentials().private_key().pem());
}

/// Checks what [`state`] says, with only the names of the certificates.
#[track_caller]
fn check(store: &dyn IdentityStore, expected: &str) {
    let state = state(store);
    let names: String = state
        .split_inclusive(['=', ',', ' '])
        .scan(false, |value, part| {
            let shown = if *value { part.trim_start_matches(|c: char| c.is_ascii_hexdigit()) } else { part };
            *value = part.ends_with('=');
            Some(shown.trim_end_matches('=').to_owned())
        })
        .collect();
    assert_eq!(names, expected, "{state}");
}

fn a_new_store_is_empty(store: &dyn IdentityStore) {
    check(store, "active none, previous none, staged nothing");
}

fn what_is_staged_is_loaded(store: &dyn IdentityStore) {
    let now = SystemTime::now();
    store.prepare().unwrap();
    let certificate = issued("c1", Duration::from_secs(600));
    let device_key = certificate.credentials().private_key();
    store.stage_key(device_key).unwrap();
    let Staged::Key(found) = store.load(now).unwrap().staged else { panic!("a key") };
    assert_eq!(found.pem(), device_key.pem());

    store.stage_issued(&certificate).unwrap();
    let Staged::Issued(found) = store.load(now).unwrap().staged else { panic!("an issued certificate") };
    assert_eq!(found.certificate_id(), certificate.certificate_id());
    assert_eq!(found.token().reveal(), TOKEN);
    assert_eq!(found.credentials().private_key().pem(), device_key.pem());
    let difference = certificate.issued_at().duration_since(found.issued_at()).unwrap();
    assert!(difference < Duration::from_secs(1), "{difference:?}");

    let registered = registered(&certificate);
    store.stage_registered(&registered).unwrap();
    let Staged::Registered(found) = store.load(now).unwrap().staged else { panic!("a registered identity") };
    check_identity(Some(found), &registered);

    store.promote(&registered).unwrap();
    check_identity(store.load(now).unwrap().active, &registered);
    check(store, "active c1, previous none, staged nothing");
}

fn a_newer_certificate_takes_the_place_of_a_staged_one(store: &dyn IdentityStore) {
    store.stage_issued(&issued("c1", Duration::ZERO)).unwrap();
    store.stage_issued(&issued("c2", Duration::ZERO)).unwrap();
    check(store, "active none, previous none, staged issued c2");
}

fn staging_leaves_the_active_identity_in_its_place(store: &dyn IdentityStore) {
    store.promote(&identity("c1")).unwrap();
    let next = issued("c2", Duration::ZERO);
    store.stage_key(next.credentials().private_key()).unwrap();
    assert!(state(store).starts_with("active c1="));
    store.stage_issued(&next).unwrap();
    check(store, "active c1, previous none, staged issued c2");
    store.stage_registered(&registered(&next)).unwrap();
    check(store, "active c1, previous none, staged registered c2");
    store.discard_staged().unwrap();
    check(store, "active c1, previous none, staged nothing");
}

fn promoting_needs_no_staging_and_may_be_repeated(store: &dyn IdentityStore) {
    let (old, new) = (identity("c1"), identity("c2"));
    for one in [&old, &old, &new, &new] {
        store.promote(one).unwrap();
        check_identity(store.load(SystemTime::now()).unwrap().active, one);
    }
    check(store, "active c2 unconfirmed, previous c1, staged nothing");
}

fn promoting_the_active_identity_leaves_the_one_under_way(store: &dyn IdentityStore) {
    let active = identity("c1");
    store.promote(&active).unwrap();
    store.stage_issued(&issued("c2", Duration::ZERO)).unwrap();
    store.promote(&active).unwrap();
    check(store, "active c1, previous none, staged issued c2");
}

fn a_first_identity_needs_no_confirmation_and_a_rotation_does(store: &dyn IdentityStore) {
    store.promote(&identity("c1")).unwrap();
    check(store, "active c1, previous none, staged nothing");
    store.promote(&identity("c2")).unwrap();
    check(store, "active c2 unconfirmed, previous c1, staged nothing");
    store.confirm().unwrap();
    store.confirm().unwrap();
    check(store, "active c2, previous c1, staged nothing");
}

fn a_promotion_of_the_previous_identity_takes_the_last_one_back(store: &dyn IdentityStore) {
    let (one, two) = (identity("c1"), identity("c2"));
    store.promote(&one).unwrap();
    store.promote(&two).unwrap();
    store.promote(&one).unwrap();
    check(store, "active c1 unconfirmed, previous c2, staged nothing");
    store.promote(&two).unwrap();
    check(store, "active c2 unconfirmed, previous c1, staged nothing");
    store.confirm().unwrap();
    check(store, "active c2, previous c1, staged nothing");
}

/// Runs each clause against both stores.
macro_rules! contract {
    ($($clause:ident)*) => {
        mod memory {
            $(#[test]
            fn $clause() {
                super::$clause(&super::MemoryStore::default());
            })*
        }
        mod directory {
            $(#[test]
            fn $clause() {
                let directory = tempfile::tempdir().unwrap();
                super::$clause(&super::DirectoryStore::new(directory.path().join("not/yet/there")));
            })*
        }
    };
}

contract! {
    a_new_store_is_empty
    what_is_staged_is_loaded
    a_newer_certificate_takes_the_place_of_a_staged_one
    staging_leaves_the_active_identity_in_its_place
    promoting_needs_no_staging_and_may_be_repeated
    promoting_the_active_identity_leaves_the_one_under_way
    a_first_identity_needs_no_confirmation_and_a_rotation_does
    a_promotion_of_the_previous_identity_takes_the_last_one_back
}

/// Every file and directory below `path`, and it itself.
fn everything(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            found.extend(everything(&entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn nothing_is_created_before_something_is_to_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("state");
    let store = DirectoryStore::new(&root);
    a_new_store_is_empty(&store);
    assert!(!root.exists());
}

#[test]
fn files_are_for_their_owner_alone_at_every_step() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("a/state");
    let store = DirectoryStore::new(&root);
    let check = || {
        for path in everything(&directory.path().join("a")) {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, expected, "{}", path.display());
        }
    };
    store.prepare().unwrap();
    check();
    store.stage_key(&key()).unwrap();
    check();
    let certificate = issued("c1", Duration::ZERO);
    store.stage_issued(&certificate).unwrap();
    check();
    let identity = registered(&certificate);
    store.stage_registered(&identity).unwrap();
    check();
    store.promote(&identity).unwrap();
    check();
    store.promote(&identities::identity("c2")).unwrap();
    check();
    assert!(root.join("identities/c1/private.key").exists());
}

#[test]
fn a_key_is_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    let certificate = issued("c1", Duration::ZERO);
    store.stage_issued(&certificate).unwrap();
    let written = || directory.path().join("identities/c1/private.key").metadata().unwrap().modified().unwrap();
    let first = written();
    store.stage_issued(&certificate).unwrap();
    store.stage_registered(&registered(&certificate)).unwrap();
    store.promote(&registered(&certificate)).unwrap();
    assert_eq!(written(), first);
}

#[test]
fn a_spent_token_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    let certificate = issued("c1", Duration::ZERO);
    store.stage_issued(&certificate).unwrap();
    assert!(directory.path().join("identities/c1/issued.json").exists());
    store.stage_registered(&registered(&certificate)).unwrap();
    for path in everything(directory.path()).into_iter().filter(|path| path.is_file()) {
        assert!(!std::fs::read_to_string(&path).unwrap().contains(TOKEN), "{}", path.display());
    }
}

#[test]
fn the_identity_before_is_kept_and_the_one_before_that_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    for id in ["c1", "c2", "c3"] {
        store.promote(&identity(id)).unwrap();
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("previous")).unwrap(), "c2\n");
    assert!(directory.path().join("identities/c2/private.key").exists());
    assert!(!directory.path().join("identities/c1").exists());
}

#[test]
fn what_a_kill_left_half_done_is_neither_seen_nor_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    // Killed in the middle of the first write, and before the pointer to it.
    let home = directory.path().join("identities/c1");
    std::fs::create_dir_all(&home).unwrap();
    for directory in [home.as_path(), &directory.path().join("identities")] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::write(home.join(".private.key.tmp"), "-----BEGIN PRI").unwrap();
    std::fs::write(directory.path().join(".pending.tmp"), "c").unwrap();
    a_new_store_is_empty(&store);
    store.stage_issued(&issued("c2", Duration::ZERO)).unwrap();
    check(&store, "active none, previous none, staged issued c2");
    let left: Vec<_> = everything(directory.path()).into_iter().filter(|path| path.ends_with(".tmp")).collect();
    assert!(left.is_empty() && !home.exists(), "{left:?}");
}

#[test]
fn the_layout_of_the_version_before_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (identity("c1"), issued("c2", Duration::ZERO));
    let write = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        for parent in path
            .ancestors()
            .skip(1)
            .take_while(|parent| *parent != directory.path())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            if !parent.exists() {
                std::fs::create_dir(parent).unwrap();
                std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    for (id, credentials) in [("c1", old.credentials()), ("c2", new.credentials())] {
        write(&format!("identities/{id}/private.key"), credentials.private_key().pem().unwrap());
        write(&format!("identities/{id}/certificate.pem"), credentials.certificate_pem());
    }
    let record = r#"{ "thing_name": "line7-press3", "device_configuration": { "site": "hall-b" } }"#;
    write("identities/c1/identity.json", record.as_bytes());
    let record = format!(r#"{{ "ownership_token": "{TOKEN}", "issued_at": 1792000000 }}"#);
    write("identities/c2/issued.json", record.as_bytes());
    write("active", b"c1\n");
    write("pending", b"c2\n");

    let store = DirectoryStore::new(directory.path());
    check(&store, "active c1, previous none, staged issued c2");
    store.stage_registered(&registered(&new)).unwrap();
    store.promote(&registered(&new)).unwrap();
    check(&store, "active c2 unconfirmed, previous c1, staged nothing");
}

#[test]
fn one_process_writes_at_a_time_and_any_may_read() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (DirectoryStore::new(directory.path()), DirectoryStore::new(directory.path()));
    first.prepare().unwrap();
    first.clone().prepare().unwrap();
    let error = second.prepare().unwrap_err();
    assert_eq!(error.to_string(), format!("{} is in use by another process", directory.path().display()));
    assert!(!error.is_retryable());
    assert!(matches!(second.promote(&identity("c2")), Err(StoreError::InUse { .. })));
    first.promote(&identity("c1")).unwrap();
    check(&second, "active c1, previous none, staged nothing");
    drop(first);
    second.prepare().unwrap();
    assert!(!directory.path().join("probe").exists());
}

#[test]
fn a_key_in_a_token_is_kept_by_its_place_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let token = Token::new();
    let store = DirectoryStore::new(directory.path()).keys(Arc::new(token.clone()));
    store.stage_key(&token.key()).unwrap();
    assert_eq!(std::fs::read_to_string(directory.path().join("staged.locator")).unwrap(), format!("{LOCATOR}\n"));
    let certificate = token.issued("c1");
    store.stage_issued(&certificate).unwrap();
    store.promote(&registered(&certificate)).unwrap();
    let active = store.load(SystemTime::now()).unwrap().active.unwrap();
    assert_eq!(active.credentials().private_key().locator(), Some(LOCATOR));
    for path in everything(directory.path()) {
        assert!(path.extension().is_none_or(|extension| extension != "key"), "{}", path.display());
    }
    // Without the token.
    let contents = DirectoryStore::new(directory.path()).load(SystemTime::now()).unwrap();
    assert!(contents.active.is_none());
    let place = directory.path().join("identities/c1/key.locator");
    let expected = format!(
        "the active identity cannot be used: {}: the private key cannot be opened: {LOCATOR} is not kept by this program",
        place.display()
    );
    assert_eq!(contents.findings[0].to_string(), expected);
}

#[test]
fn an_expired_identity_gives_its_place_to_the_previous_one_once_the_clock_is_set() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let short = issued_with("c2", Duration::ZERO, credentials_until(end));
    store.promote(&identity("c1")).unwrap();
    store.promote(&registered(&short)).unwrap();
    let active = |now| store.load(now).unwrap().active.unwrap().certificate_id().to_string();
    assert_eq!(active(end), "c2");
    assert_eq!(active(SystemTime::UNIX_EPOCH), "c2");
    let later = store.load(end + Duration::from_secs(1)).unwrap();
    assert_eq!(later.active.unwrap().certificate_id().as_str(), "c1");
    assert!(later.previous.is_none() && !later.unconfirmed);
    assert!(
        later.findings[0].to_string().ends_with("certificate.pem: the certificate expired at 2027-01-15T08:00:00Z")
    );
    // A previous identity that expired is not worth a word.
    store.promote(&identity("c3")).unwrap();
    let later = store.load(end + Duration::from_secs(1)).unwrap();
    assert!(later.active.is_some() && later.previous.is_none() && later.findings.is_empty());
}

#[test]
fn another_certificate_of_the_same_id_takes_nobodys_place() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    let kept = identity("c1");
    store.promote(&kept).unwrap();
    let error = store.stage_issued(&issued("c1", Duration::ZERO)).unwrap_err();
    assert!(chain(&error).ends_with("identities/c1 holds another certificate, which is in use"), "{error}");
    check_identity(store.load(SystemTime::now()).unwrap().active, &kept);
}
