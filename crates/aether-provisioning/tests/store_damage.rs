//! Damage of every kind: it is told, nothing is changed, and what was there before takes over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![cfg(unix)]

mod identities;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use aether_provisioning::{Contents, DirectoryStore, Identity, IdentityStore, Staged};
use identities::{TOKEN, chain, content, identity, ids, issued, key, load, registered};

/// What becomes of a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Missing,
    Empty,
    /// Cut to half its length.
    Cut,
    /// A bit is not what it was, towards the end.
    Flipped,
    Garbage,
    Text(&'static str),
    /// The same file of the other identity.
    Others,
    Large,
    Symlink,
    Directory,
}

impl Damage {
    fn apply(self, path: &Path) {
        let content = fs::read(path).unwrap();
        let write = |content: &[u8]| fs::write(path, content).unwrap();
        match self {
            Self::Missing => fs::remove_file(path).unwrap(),
            Self::Empty => write(b""),
            Self::Cut => write(&content[..content.len() / 2]),
            Self::Flipped => {
                let mut content = content;
                let place = content.len() / 8 * 7;
                content[place] ^= 1;
                write(&content);
            }
            Self::Garbage => write(&[0xff, 0x00, b'S', b'E', b'C', b'R', b'E', b'T']),
            Self::Text(text) => write(text.as_bytes()),
            Self::Others => write(&fs::read(path.to_string_lossy().replace("c2", "c1")).unwrap()),
            Self::Large => write(&vec![b'x'; 1024 * 1024 + 1]),
            Self::Symlink => {
                let aside = path.with_extension("aside");
                fs::rename(path, &aside).unwrap();
                symlink(&aside, path).unwrap();
            }
            Self::Directory => {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }
        }
    }
}

/// Damages one file of the active identity `c2` and sees that the previous one, `c1`, takes its place, and a third one
/// theirs.
#[track_caller]
fn check_active(file: &str, damage: Damage, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("identity");
    let store = DirectoryStore::new(&root);
    store.promote(&identity("c1")).unwrap();
    store.promote(&identity("c2")).unwrap();
    let path = root.join(file);
    damage.apply(&path);

    let before = content(&root);
    let contents = load(&store);
    assert_eq!(content(&root), before, "loading changes nothing");
    assert_eq!(ids(&contents), [Some("c1"), None], "{file} {damage:?}");
    let [finding] = contents.findings.as_slice() else { panic!("{file} {damage:?}: {:?}", contents.findings) };
    assert_eq!(finding.path, path, "{file} {damage:?}");
    let text = finding.to_string();
    assert!(text.contains(expected), "{file} {damage:?}: {text}");
    assert!(!format!("{finding:?}").contains("SECRET"), "{text}");

    // Working on with the previous one changes nothing; the next one takes its place, and what is damaged is left.
    store.promote(&identity_of(&contents)).unwrap();
    assert_eq!(ids(&load(&store)), [Some("c1"), None], "{file} {damage:?}");
    let result = store.promote(&identity("c3"));
    if file == "active" && matches!(damage, Damage::Directory) {
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), format!("could not put in place {}", path.display()));
        assert_eq!(ids(&load(&store)), [Some("c1"), None]);
        return;
    }
    result.unwrap();
    let contents = load(&store);
    assert_eq!(ids(&contents), [Some("c3"), Some("c1")], "{file} {damage:?}");
    assert!(contents.findings.is_empty(), "{:?}", contents.findings);
    if file != "active" && !matches!(damage, Damage::Missing) {
        assert!(path.symlink_metadata().is_ok(), "{file} {damage:?} is left for a person");
    }
}

fn identity_of(contents: &Contents) -> Identity {
    contents.active.clone().unwrap()
}

#[test]
fn a_damaged_active_identity_gives_its_place_to_the_previous_one() {
    use Damage::{Cut, Directory, Empty, Flipped, Garbage, Large, Missing, Others, Symlink, Text};
    let key = "identities/c2/private.key";
    let no_key = "no private key found, expected a \"BEGIN PRIVATE KEY\"";
    for (damage, expected) in [
        (Missing, "missing"),
        (Empty, no_key),
        (Cut, "the private key cannot be used"),
        (Garbage, no_key),
        (Text("-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"), "the private key cannot be used"),
        (Others, "the private key does not belong to the certificate"),
        (Large, "more than 1048576 bytes"),
        (Symlink, "a symbolic link, expected a file"),
        (Directory, "a directory, expected a file"),
    ] {
        check_active(key, damage, expected);
    }
    let certificate = "identities/c2/certificate.pem";
    for (damage, expected) in [
        (Missing, "missing"),
        (Empty, "no certificate found"),
        (Cut, "the certificate cannot be read"),
        (Garbage, "no certificate found"),
        (Text("-----BEGIN CERTIFICATE-----\nSECRET\n-----END CERTIFICATE-----\n"), "the certificate cannot be read"),
        (Large, "more than 1048576 bytes"),
        (Symlink, "a symbolic link, expected a file"),
        (Directory, "a directory, expected a file"),
    ] {
        check_active(certificate, damage, expected);
    }
    let record = "identities/c2/identity.json";
    for (damage, expected) in [
        (Missing, "missing"),
        (Empty, "not the expected JSON at line 1, column 0"),
        (Cut, "not the expected JSON at line"),
        (Garbage, "not the expected JSON at line 1, column 1"),
        (Text(r#"{"thing_name": 7}"#), "not the expected JSON at line 1"),
        (Text(r#"{"thing_name": "line 7"}"#), "Thing name \"line 7\" has ' ' at byte 4"),
        (Text(r#"{"format": 2, "all": "different"}"#), "of format 2, expected at most 1: written by a newer version"),
        (Large, "more than 1048576 bytes"),
        (Symlink, "a symbolic link, expected a file"),
        (Directory, "a directory, expected a file"),
    ] {
        check_active(record, damage, expected);
    }
    for file in [key, certificate, record] {
        check_active(file, Flipped, "");
    }
}

#[test]
fn a_damaged_pointer_gives_its_place_to_the_previous_one() {
    for (damage, expected) in [
        (Damage::Missing, "missing"),
        (Damage::Empty, "not a certificate id: certificate id has 0 bytes, expected 1 to 128"),
        (Damage::Garbage, "not a certificate id"),
        (Damage::Text("../../etc"), "certificate id \"../../etc\" has '.' at byte 0"),
        (Damage::Large, "more than 1048576 bytes"),
        (Damage::Symlink, "a symbolic link, expected a file"),
        (Damage::Directory, "a directory, expected a file"),
    ] {
        check_active("active", damage, expected);
    }
}

#[test]
fn a_certificate_of_another_key_is_found_at_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.promote(&identity("c1")).unwrap();
    store.promote(&identity("c2")).unwrap();
    Damage::Others.apply(&directory.path().join("identities/c2/certificate.pem"));
    let text = load(&store).findings[0].to_string();
    assert!(text.contains("identities/c2/private.key: the private key does not belong to the certificate"), "{text}");
}

#[test]
fn a_pointer_to_nowhere_and_a_file_in_place_of_a_directory_are_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.promote(&identity("c1")).unwrap();
    store.promote(&identity("c2")).unwrap();
    fs::write(directory.path().join("active"), "c9\n").unwrap();
    let contents = load(&store);
    assert_eq!(ids(&contents), [Some("c1"), None]);
    assert!(contents.findings[0].to_string().ends_with("identities/c9: missing"), "{:?}", contents.findings);

    fs::rename(directory.path().join("identities"), directory.path().join("aside")).unwrap();
    symlink(directory.path().join("aside"), directory.path().join("identities")).unwrap();
    let contents = load(&store);
    assert_eq!(ids(&contents), [None, None]);
    let text = contents.findings[0].to_string();
    assert!(text.ends_with("identities: a symbolic link, expected a directory"), "{text}");
    let error = store.stage_issued(&issued("c3", Duration::ZERO)).unwrap_err();
    assert!(
        chain(&error).ends_with("identities is damaged: a symbolic link, expected a directory"),
        "{}",
        chain(&error)
    );
    assert!(!error.is_retryable());
}

#[test]
fn what_is_damaged_while_it_is_under_way_is_told_and_passed_over() {
    for (file, damage, expected) in [
        ("pending", Damage::Garbage, "the pointer to the staged identity cannot be used"),
        ("identities/c2/issued.json", Damage::Cut, "the staged certificate cannot be used"),
        ("identities/c2/issued.json", Damage::Flipped, "the staged certificate cannot be used"),
        ("identities/c2/issued.json", Damage::Text(r#"{"issued_at": "SECRET"}"#), "not the expected JSON"),
        ("identities/c2/private.key", Damage::Empty, "the staged certificate cannot be used"),
        ("identities/c2/issued.json", Damage::Missing, "issued.json: missing"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(directory.path());
        store.promote(&identity("c1")).unwrap();
        store.stage_issued(&issued("c2", Duration::ZERO)).unwrap();
        damage.apply(&directory.path().join(file));
        let contents = load(&store);
        assert_eq!(ids(&contents), [Some("c1"), None]);
        assert!(matches!(contents.staged, Staged::Nothing));
        let text = contents.findings[0].to_string();
        assert!(text.contains(expected), "{text}");
        let shown = format!("{contents:?}");
        assert!(!shown.contains("SECRET") && !shown.contains(TOKEN), "{shown}");
        let next = issued("c3", Duration::ZERO);
        store.stage_issued(&next).unwrap();
        store.promote(&registered(&next)).unwrap();
        assert_eq!(ids(&load(&store)), [Some("c3"), Some("c1")]);
    }
    for damage in [Damage::Empty, Damage::Cut, Damage::Garbage, Damage::Symlink] {
        let directory = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(directory.path());
        store.stage_key(&key()).unwrap();
        damage.apply(&directory.path().join("staged.key"));
        let contents = load(&store);
        assert!(matches!(contents.staged, Staged::Nothing), "{damage:?}");
        assert!(contents.findings[0].to_string().starts_with("the staged key cannot be used: "), "{damage:?}");
        store.stage_key(&key()).unwrap();
        assert!(matches!(load(&store).staged, Staged::Key(_)), "{damage:?}");
    }
}

#[test]
fn a_damaged_previous_identity_or_note_leaves_the_active_one_alone() {
    for file in ["previous", "unconfirmed", "identities/c1/private.key"] {
        let directory = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(directory.path());
        store.promote(&identity("c1")).unwrap();
        store.promote(&identity("c2")).unwrap();
        Damage::Garbage.apply(&directory.path().join(file));
        let contents = load(&store);
        assert_eq!(ids(&contents)[0], Some("c2"), "{file}");
        assert_eq!(contents.findings.len(), 1, "{file}");
        store.prepare().unwrap();
        store.confirm().unwrap();
        store.promote(&identity("c3")).unwrap();
        assert_eq!(ids(&load(&store)), [Some("c3"), Some("c2")], "{file}");
        assert!(load(&store).findings.is_empty(), "{file}");
    }
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.promote(&identity("c1")).unwrap();
    store.promote(&identity("c2")).unwrap();
    Damage::Garbage.apply(&directory.path().join("identities/c1/private.key"));
    assert_eq!(ids(&load(&store)), [Some("c2"), None]);
}
