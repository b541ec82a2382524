//! Who may look: files and directories are their owner's alone, or are refused.

use std::path::Path;

use super::super::StoreError;
use super::super::disk::{Disk, Entry, Kind, RealDisk};
use super::write::failed;

/// How closely a file is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Holds a key or token: others may neither read nor write it.
    Secret,
    /// Others may read it; they come so far only if somebody opened the directory.
    Readable,
}

impl Guard {
    fn widest(self) -> u32 {
        match self {
            Self::Secret => 0o600,
            Self::Readable => 0o644,
        }
    }

    fn forbidden(self) -> u32 {
        match self {
            Self::Secret => 0o077,
            Self::Readable => 0o022,
        }
    }
}

/// Checks a file of the store.
pub(super) fn check_file(disk: &dyn Disk, path: &Path, entry: Entry, guard: Guard) -> Result<(), StoreError> {
    let Some(user) = disk.user() else { return Ok(()) };
    owned(path, entry, &[user])?;
    narrow(path, entry, guard.widest(), guard.forbidden())
}

/// Checks the store's own directory, which may be one that was made for it: others may look in, and find nothing.
pub(super) fn check_root(disk: &dyn Disk, path: &Path, entry: Entry) -> Result<(), StoreError> {
    let Some(user) = disk.user() else { return Ok(()) };
    owned(path, entry, &[user])?;
    narrow(path, entry, 0o755, 0o022)
}

/// Checks a directory that the store made.
pub(super) fn check_directory(disk: &dyn Disk, path: &Path, entry: Entry) -> Result<(), StoreError> {
    let Some(user) = disk.user() else { return Ok(()) };
    owned(path, entry, &[user])?;
    narrow(path, entry, 0o700, 0o077)
}

/// Checks that a file of the user's own which holds a private key, such as the claim's, is closed to others.
///
/// It must be a file, or a symbolic link to one, of mode 0600 or stricter, that belongs to the user of this process or
/// to root. On systems without such modes only that it is a file is checked.
///
/// # Errors
///
/// [`StoreError::Mode`] and [`StoreError::Owner`], which say what was found and how to mend it; [`StoreError::Io`] if
/// the file cannot be looked at or is none. Reading it may fail all the same.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::os::unix::fs::PermissionsExt as _;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("claim.private.key");
/// # std::fs::write(&path, "")?;
/// # std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
/// let error = aether_provisioning::check_secret_file(&path).unwrap_err();
/// assert!(error.to_string().contains("has mode 0644, which lets others in; expected 0600 or stricter: chmod 600"));
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
pub fn check_secret_file(path: impl AsRef<Path>) -> Result<(), StoreError> {
    check_secret(&RealDisk, path.as_ref())
}

fn check_secret(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    let entry = disk
        .entry_behind_links(path)
        .and_then(|entry| match entry {
            None => Err(std::io::ErrorKind::NotFound.into()),
            Some(Entry { kind: Kind::Directory, .. }) => Err(std::io::ErrorKind::IsADirectory.into()),
            Some(entry) if entry.kind == Kind::File => Ok(entry),
            Some(_) => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "neither file nor directory")),
        })
        .map_err(|e| failed("read", path, e))?;
    let Some(user) = disk.user() else { return Ok(()) };
    owned(path, entry, &[user, 0])?;
    narrow(path, entry, 0o600, 0o077)
}

fn owned(path: &Path, entry: Entry, by: &[u32]) -> Result<(), StoreError> {
    match by.first() {
        Some(&expected) if !by.contains(&entry.owner) => {
            Err(StoreError::Owner { path: path.to_owned(), found: entry.owner, expected })
        }
        Some(_) | None => Ok(()),
    }
}

fn narrow(path: &Path, entry: Entry, expected: u32, forbidden: u32) -> Result<(), StoreError> {
    if entry.mode & forbidden == 0 {
        return Ok(());
    }
    Err(StoreError::Mode { path: path.to_owned(), found: entry.mode, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mode: u32, guard: Guard, accepted: bool) {
        let disk = RealDisk;
        let entry = Entry { kind: Kind::File, mode, owner: disk.user().unwrap_or_default() };
        let result = check_file(&disk, Path::new("private.key"), entry, guard);
        assert_eq!(result.is_ok(), accepted, "{mode:o} {guard:?}: {result:?}");
    }

    #[test]
    #[cfg(unix)]
    fn a_secret_that_anybody_else_may_touch_is_refused() {
        for good in [0o600, 0o400, 0o000, 0o700] {
            check(good, Guard::Secret, true);
        }
        for bad in [0o640, 0o604, 0o620, 0o610, 0o601, 0o666, 0o444] {
            check(bad, Guard::Secret, false);
        }
        check(0o644, Guard::Readable, true);
        check(0o664, Guard::Readable, false);
        check(0o646, Guard::Readable, false);
    }
}
