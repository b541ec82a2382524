//! What every identity store promises, and what the one on disk promises beside that.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aether_provisioning::{DirectoryStore, Identity, IdentityStore, MemoryStore, Stored};
use support::{TOKEN, chain, identity, issued};

#[track_caller]
fn check_identity(found: &Identity, expected: &Identity) {
    assert_eq!(found.thing_name(), expected.thing_name());
    assert_eq!(found.certificate_id(), expected.certificate_id());
    assert_eq!(found.device_configuration(), expected.device_configuration());
    assert_eq!(found.credentials().certificate_pem(), expected.credentials().certificate_pem());
    assert_eq!(found.credentials().private_key().pem(), expected.credentials().private_key().pem());
}

fn a_new_store_is_empty(store: &dyn IdentityStore) {
    assert!(matches!(store.load().unwrap(), Stored::Empty));
}

fn what_is_staged_is_loaded(store: &dyn IdentityStore) {
    let certificate = issued("c1", Duration::from_secs(600));
    store.stage_issued(&certificate).unwrap();
    let Stored::Issued(found) = store.load().unwrap() else { panic!("an issued certificate") };
    assert_eq!(found.certificate_id(), certificate.certificate_id());
    assert_eq!(found.token().reveal(), TOKEN);
    assert_eq!(found.credentials().private_key().pem(), certificate.credentials().private_key().pem());
    let difference = certificate.issued_at().duration_since(found.issued_at()).unwrap();
    assert!(difference < Duration::from_secs(1), "{difference:?}");

    let registered = certificate.registered("line7-press3".parse().unwrap(), [("a".into(), "b".into())].into());
    store.stage_registered(&registered).unwrap();
    let Stored::Registered(found) = store.load().unwrap() else { panic!("a registered identity") };
    check_identity(&found, &registered);

    store.promote(&registered).unwrap();
    let Stored::Active(found) = store.load().unwrap() else { panic!("the active identity") };
    check_identity(&found, &registered);
}

fn a_newer_certificate_takes_the_place_of_a_staged_one(store: &dyn IdentityStore) {
    store.stage_issued(&issued("c1", Duration::ZERO)).unwrap();
    store.stage_issued(&issued("c2", Duration::ZERO)).unwrap();
    assert!(matches!(store.load().unwrap(), Stored::Issued(found) if found.certificate_id().as_str() == "c2"));
}

fn staging_leaves_the_active_identity_in_its_place(store: &dyn IdentityStore) {
    store.promote(&identity("c1", "line7-press3")).unwrap();
    store.stage_issued(&issued("c2", Duration::ZERO)).unwrap();
    assert!(matches!(store.load().unwrap(), Stored::Active(found) if found.certificate_id().as_str() == "c1"));
    store.stage_registered(&identity("c2", "line7-press3")).unwrap();
    assert!(matches!(store.load().unwrap(), Stored::Active(found) if found.certificate_id().as_str() == "c1"));
}

fn promoting_needs_no_staging_and_may_be_repeated(store: &dyn IdentityStore) {
    let (old, new) = (identity("c1", "line7-press3"), identity("c2", "line7-press3"));
    for one in [&old, &old, &new, &new] {
        store.promote(one).unwrap();
        assert!(
            matches!(store.load().unwrap(), Stored::Active(found) if found.certificate_id() == one.certificate_id())
        );
    }
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
fn nothing_is_created_before_something_is_staged() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("state");
    let store = DirectoryStore::new(&root);
    assert!(matches!(store.load().unwrap(), Stored::Empty));
    assert!(!root.exists());
}

#[test]
fn files_are_for_their_owner_alone_at_every_step() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("state");
    let store = DirectoryStore::new(&root);
    let check = || {
        for path in everything(&root) {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, expected, "{}", path.display());
        }
    };
    store.stage_issued(&issued("c1", Duration::ZERO)).unwrap();
    check();
    let identity = identity("c1", "line7-press3");
    store.stage_registered(&identity).unwrap();
    check();
    store.promote(&identity).unwrap();
    check();
    assert!(root.join("identities/c1/private.key").exists());
}

#[test]
fn a_spent_token_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    let certificate = issued("c1", Duration::ZERO);
    store.stage_issued(&certificate).unwrap();
    assert!(directory.path().join("identities/c1/issued.json").exists());
    store.stage_registered(&certificate.registered("line7-press3".parse().unwrap(), [].into())).unwrap();
    for path in everything(directory.path()).into_iter().filter(|path| path.is_file()) {
        assert!(!std::fs::read_to_string(&path).unwrap().contains(TOKEN), "{}", path.display());
    }
}

#[test]
fn the_identity_before_is_kept_and_pointed_at() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.promote(&identity("c1", "line7-press3")).unwrap();
    store.promote(&identity("c2", "line7-press3")).unwrap();
    assert_eq!(std::fs::read_to_string(directory.path().join("previous")).unwrap(), "c1\n");
    assert!(directory.path().join("identities/c1/private.key").exists());
}

#[test]
fn a_promotion_removes_the_keys_that_a_kill_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.promote(&identity("c1", "line7-press3")).unwrap();
    // Killed after the key was written and before anything pointed at it.
    let orphan = directory.path().join("identities/c2");
    std::fs::create_dir(&orphan).unwrap();
    std::fs::write(orphan.join("private.key"), "-----BEGIN PRIVATE KEY-----").unwrap();
    store.promote(&identity("c3", "line7-press3")).unwrap();
    assert!(!orphan.exists());
    for kept in ["c1", "c3"] {
        assert!(directory.path().join("identities").join(kept).join("private.key").exists(), "{kept}");
    }
}

#[test]
fn a_certificate_that_was_replaced_before_it_was_registered_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.stage_issued(&issued("c1", Duration::ZERO)).unwrap();
    store.stage_issued(&issued("c2", Duration::ZERO)).unwrap();
    assert!(!directory.path().join("identities/c1").exists());
    assert!(directory.path().join("identities/c2").exists());
}

#[test]
fn what_a_kill_left_half_done_is_neither_seen_nor_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    // Killed in the middle of the first write, and before the pointer to it.
    let home = directory.path().join("identities/c1");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join(".private.key.tmp"), "-----BEGIN PRI").unwrap();
    std::fs::write(directory.path().join(".pending.tmp"), "c").unwrap();
    assert!(matches!(store.load().unwrap(), Stored::Empty));
    store.stage_issued(&issued("c1", Duration::ZERO)).unwrap();
    assert!(matches!(store.load().unwrap(), Stored::Issued(_)));
    // Killed between the two pointers of a promotion.
    std::fs::write(directory.path().join("active"), "c0\n").unwrap();
    let promoted = identity("c1", "line7-press3");
    store.promote(&promoted).unwrap();
    std::fs::write(directory.path().join("pending"), "c1\n").unwrap();
    assert!(matches!(store.load().unwrap(), Stored::Active(found) if found.certificate_id().as_str() == "c1"));
}

#[test]
fn a_damaged_file_is_named_and_its_content_is_not_shown() {
    let damages: [(&str, &str); 6] = [
        ("active", "../../etc"),
        ("active", ""),
        ("identities/c1/identity.json", r#"{"thing_name": 7}"#),
        ("identities/c1/identity.json", r#"{"thing_name": "line 7"}"#),
        ("identities/c1/certificate.pem", "-----BEGIN CERTIFICATE-----\nSECRET\n"),
        ("identities/c1/private.key", "-----BEGIN PRIVATE KEY-----SECRET\n"),
    ];
    for (name, content) in damages {
        let directory = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(directory.path());
        store.promote(&identity("c1", "line7-press3")).unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = store.load().unwrap_err();
        let text = chain(&error);
        assert!(text.starts_with(&format!("{} is damaged: ", path.display())), "{text}");
        assert!(!text.contains("SECRET"), "{text}");
    }
}

#[test]
fn a_missing_file_and_a_key_of_another_certificate_are_damage_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.promote(&identity("c1", "line7-press3")).unwrap();
    store.promote(&identity("c2", "line7-press3")).unwrap();
    let key = |id| directory.path().join(format!("identities/{id}/private.key"));
    std::fs::copy(key("c1"), key("c2")).unwrap();
    let text = chain(&store.load().unwrap_err());
    assert!(text.contains("identities/c2/private.key is damaged: the private key does not belong"), "{text}");
    std::fs::remove_file(key("c2")).unwrap();
    let text = chain(&store.load().unwrap_err());
    assert!(text.contains("identities/c2/private.key is damaged: the file is missing"), "{text}");
}

#[test]
fn a_damaged_token_record_does_not_show_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.stage_issued(&issued("c1", Duration::ZERO)).unwrap();
    let path = directory.path().join("identities/c1/issued.json");
    std::fs::write(&path, format!(r#"{{"ownership_token": "t", "issued_at": "{TOKEN}"}}"#)).unwrap();
    let error = store.load().unwrap_err();
    let text = format!("{error:?} {}", chain(&error));
    assert!(text.contains("issued.json") && !text.contains(TOKEN), "{text}");
}
