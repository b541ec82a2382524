//! Files that are open to others or another's, and disks that take nothing more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![cfg(unix)]

mod identities;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use aether_provisioning::{DirectoryStore, IdentityStore, Staged, StoreError, check_secret_file};
use identities::{chain, content, identity, ids, issued, key, load, registered};

#[test]
fn what_is_open_to_others_is_refused_with_the_remedy() {
    for (path, mode, expected) in [
        ("", 0o770, "0755 or stricter: chmod 755"),
        ("", 0o777, "0755 or stricter: chmod 755"),
        ("identities", 0o701, "0700 or stricter: chmod 700"),
        ("identities/c1", 0o755, "0700 or stricter: chmod 700"),
        ("identities/c1/private.key", 0o640, "0600 or stricter: chmod 600"),
        ("identities/c1/private.key", 0o604, "0600 or stricter: chmod 600"),
        ("identities/c1/certificate.pem", 0o664, "0644 or stricter: chmod 644"),
        ("identities/c1/identity.json", 0o666, "0644 or stricter: chmod 644"),
        ("active", 0o622, "0644 or stricter: chmod 644"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(directory.path());
        store.promote(&identity("c1")).unwrap();
        let path = if path.is_empty() { directory.path().to_owned() } else { directory.path().join(path) };
        let before = path.metadata().unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let shown = path.display();
        let expected = format!("{shown} has mode {mode:04o}, which lets others in; expected {expected} {shown}");
        for error in [store.load(SystemTime::now()).unwrap_err(), store.prepare().unwrap_err()] {
            assert_eq!(error.to_string(), expected);
            assert!(!error.is_retryable());
        }
        fs::set_permissions(&path, before).unwrap();
        store.prepare().unwrap();
        assert_eq!(ids(&load(&store)), [Some("c1"), None]);
    }
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(directory.path());
    store.promote(&identity("c1")).unwrap();
    let readable = directory.path().join("identities/c1/certificate.pem");
    fs::set_permissions(&readable, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ids(&load(&store)), [Some("c1"), None], "a certificate is no secret");
}

fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    if !am_root() {
        let error = DirectoryStore::new("/").load(SystemTime::now()).unwrap_err();
        assert!(error.to_string().starts_with("/ belongs to user 0, expected "), "{error}");
        return;
    }
    for path in ["", "identities/c1/private.key", "active"] {
        let root = directory.path().join("identity");
        let store = DirectoryStore::new(&root);
        store.promote(&identity("c1")).unwrap();
        let path = if path.is_empty() { root.clone() } else { root.join(path) };
        chown(&path, Some(65534), None).unwrap();
        let shown = path.display();
        let expected = format!("{shown} belongs to user 65534, expected 0: chown 0 {shown}, or run as that user");
        for error in [store.load(SystemTime::now()).unwrap_err(), store.prepare().unwrap_err()] {
            assert_eq!(error.to_string(), expected);
            assert!(!error.is_retryable());
        }
        chown(&path, Some(0), None).unwrap();
        assert_eq!(ids(&load(&store)), [Some("c1"), None]);
    }
}

#[test]
fn a_users_own_key_file_must_be_closed_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claim.private.key");
    fs::write(&path, "").unwrap();
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o644, false), (0o660, false)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let link = directory.path().join(format!("link-{mode:o}"));
        symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            match check_secret_file(path) {
                Ok(()) => assert!(good, "{mode:o}"),
                Err(error) => {
                    assert!(!good, "{error}");
                    assert!(error.to_string().contains(&format!("has mode {mode:04o}")), "{error}");
                    assert!(error.to_string().ends_with(&format!("chmod 600 {}", path.display())), "{error}");
                }
            }
        }
    }
    if am_root() {
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(65534), None).unwrap();
        assert!(matches!(check_secret_file(&path), Err(StoreError::Owner { found: 65534, expected: 0, .. })));
    }
    assert!(check_secret_file(directory.path()).is_err());
    let error = check_secret_file(directory.path().join("none")).unwrap_err();
    assert!(error.to_string().starts_with("could not read "), "{error}");
}

const CHILD: &str = "AETHER_STORE_TEST_CHILD";

/// Runs a test of this file again in a process of other rights, given by a command that runs the rest of its line.
/// `false` in that process, where the test is to go on.
fn elsewhere(test: &str, command: &[&str]) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return false;
    }
    // Copied to where anybody may run it.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let (first, rest) = command.split_first().unwrap();
    let output = Command::new(first)
        .args(rest)
        .arg(&program)
        .args(["--exact", test, "--test-threads=1"])
        .env(CHILD, "1")
        .current_dir("/")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    true
}

fn works(command: &[&str]) -> bool {
    let (first, rest) = command.split_first().unwrap();
    Command::new(first).args(rest).arg("true").output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_directory_that_may_not_be_written_is_a_clear_error_and_what_was_there_stays() {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    if am_root() && works(&nobody) {
        let test = "a_directory_that_may_not_be_written_is_a_clear_error_and_what_was_there_stays";
        if elsewhere(test, &nobody) {
            return;
        }
    }
    if am_root() {
        // Permission bits bind no root, and there is no way here to be somebody else: the simulated disk has this case.
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("identity");
    DirectoryStore::new(&root).promote(&identity("c1")).unwrap();
    fs::set_permissions(&root, Permissions::from_mode(0o500)).unwrap();
    let store = DirectoryStore::new(&root);
    assert_eq!(ids(&load(&store)), [Some("c1"), None]);
    let before = content(&root);
    let error = store.prepare().unwrap_err();
    assert_eq!(
        chain(&error),
        format!("could not write {}: Permission denied (os error 13)", root.join("probe").display())
    );
    assert!(!error.is_retryable());
    let error = store.stage_issued(&issued("c2", Duration::ZERO)).unwrap_err();
    assert_eq!(
        chain(&error),
        format!("could not write {}: Permission denied (os error 13)", root.join("pending").display())
    );
    store.promote(&identity("c3")).unwrap_err();
    fs::set_permissions(root.join("identities"), Permissions::from_mode(0o500)).unwrap();
    let error = store.stage_issued(&issued("c4", Duration::ZERO)).unwrap_err();
    assert!(chain(&error).starts_with("could not make directory "), "{}", chain(&error));
    assert_eq!(ids(&load(&store)), [Some("c1"), None]);
    for mode in [0o700, 0o300] {
        fs::set_permissions(root.join("identities"), Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&root, Permissions::from_mode(mode)).unwrap();
    }
    let after = content_of(&before);
    assert_eq!(after, before, "nothing of what was there has changed");
    // And one that does not exist, below one that may not be written.
    let fresh = DirectoryStore::new("/var/aether-not-there/identity");
    let error = fresh.prepare().unwrap_err();
    assert!(chain(&error).starts_with("could not make directory /var/aether-not-there: Permission denied"), "{error}");
}

fn content_of(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<PathBuf, Vec<u8>> {
    files.keys().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_disk_that_is_full_or_read_only_is_seen_before_the_cloud_is_asked_and_what_was_there_stays() {
    let test = "a_disk_that_is_full_or_read_only_is_seen_before_the_cloud_is_asked_and_what_was_there_stays";
    let private: &[&str] = if am_root() { &["unshare", "--mount"] } else { &["unshare", "--map-root-user", "--mount"] };
    // Where no file system can be mounted, the simulated disk has this case.
    if std::env::var_os(CHILD).is_none() && (!works(private) || elsewhere(test, private)) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    let mount = |options: &str| Command::new("mount").args(["-t", "tmpfs", "-o", options, "aether", place]).output();
    if !mount("size=160k,mode=700").unwrap().status.success() {
        return;
    }
    let store = DirectoryStore::new(directory.path());
    store.prepare().unwrap();
    store.promote(&identity("c1")).unwrap();
    store.prepare().unwrap();
    let before = content(directory.path());

    // Full but for a page or two.
    let ballast = directory.path().join("ballast");
    let mut size = 200 * 1024;
    while fs::write(&ballast, vec![1; size]).is_err() {
        size -= 4096;
    }
    let full = |error: &StoreError| {
        let StoreError::Io { source, .. } = error else { return false };
        source.kind() == ErrorKind::StorageFull
    };
    let error = store.prepare().unwrap_err();
    assert!(full(&error) && error.is_retryable(), "{}", chain(&error));
    assert!(
        chain(&error).contains("could not write") && chain(&error).contains("probe: No space left"),
        "{}",
        chain(&error)
    );
    let certificate = issued("c2", Duration::ZERO);
    assert!(full(&store.stage_issued(&certificate).unwrap_err()));
    assert!(full(&store.promote(&registered(&certificate)).unwrap_err()));
    assert!(full(&store.stage_key(&key()).unwrap_err()));
    assert_eq!(ids(&load(&store)), [Some("c1"), None]);
    assert!(matches!(load(&store).staged, Staged::Nothing) && load(&store).findings.is_empty());
    assert_eq!(content_of(&before), before);

    // Room again.
    fs::remove_file(&ballast).unwrap();
    store.prepare().unwrap();
    store.stage_issued(&certificate).unwrap();
    store.promote(&registered(&certificate)).unwrap();
    assert_eq!(ids(&load(&store)), [Some("c2"), Some("c1")]);
    drop(store);

    let remounted = Command::new("mount").args(["-o", "remount,ro", place]).output().unwrap();
    assert!(remounted.status.success(), "{remounted:?}");
    let store = DirectoryStore::new(directory.path());
    assert_eq!(ids(&load(&store)), [Some("c2"), Some("c1")]);
    let error = store.prepare().unwrap_err();
    assert!(chain(&error).ends_with("Read-only file system (os error 30)"), "{}", chain(&error));
    assert!(!error.is_retryable());
    Command::new("umount").arg(place).output().unwrap();
}
