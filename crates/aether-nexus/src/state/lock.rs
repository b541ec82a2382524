//! Keeps two processes from sharing one identity.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use super::{create_directory, private};

/// Holds the state directory for this process. Released when it is dropped or the process ends,
/// however it ends.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

/// Why the state directory could not be taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it.
    InUse,
    /// It cannot be made or written.
    Io(io::Error),
}

impl StateLock {
    /// Takes the directory, making it where it is missing. Shows on the way that it can be written:
    /// better now than after the claim was spent.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, LockError> {
        create_directory(state_dir).map_err(LockError::Io)?;
        let path = state_dir.join("lock");
        let file = private().write(true).create(true).truncate(false).open(path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(cause)) => Err(LockError::Io(cause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_once_and_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let lock = StateLock::take(&state).unwrap();
        assert!(matches!(StateLock::take(&state), Err(LockError::InUse)));
        drop(lock);
        StateLock::take(&state).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::write(&state, "").unwrap();
        assert!(matches!(StateLock::take(&state), Err(LockError::Io(_))));
    }
}
