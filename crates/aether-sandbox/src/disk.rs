//! Writing files so that a kill or a power cut leaves the old one or the new one, never half.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::StartError;
use crate::random;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner alone: keys and anything that names a secret.
    Owner,
    /// Everybody who may enter the directory.
    Shared,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Shared => 0o644,
        }
    }
}

/// Makes a directory, and the missing ones above it, with mode 0700.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), StartError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StartError::io("create directory", path))
}

/// Whether `path` is there already and its group or others may read, enter or change it.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

/// Replaces `path` by `bytes`: temporary file, fsync, rename, fsync of the directory.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let temporary = folder.join(format!(".{name}.{}.tmp", random::hex_text::<8>()?));
    let written = write_and_rename(&temporary, path, bytes, access);
    if written.is_err() {
        // The first error is the one to report; a leftover temporary file is never read.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_and_rename(from: &Path, to: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(access.mode()).open(from)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(from, to)
}

/// Writes a file for others to read unless there is one already.
pub(crate) fn write_if_missing(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    match path.exists() {
        true => Ok(()),
        false => write_atomic(path, bytes, Access::Shared).map_err(StartError::io("write", path)),
    }
}

/// The files of a folder whose name ends in `.extension`, hidden ones left out, in order.
pub(crate) fn files_with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, StartError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(StartError::io("read directory", folder))? {
        let path = entry.map_err(StartError::io("read directory", folder))?.path();
        let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
        if !hidden && path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_readable_by_its_owner_alone_and_so_is_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        create_private_dir(&folder).unwrap();
        let key = folder.join("x.key");
        write_atomic(&key, b"one", Access::Owner).unwrap();
        assert_eq!((mode(&folder), mode(&key)), (0o700, 0o600));
    }

    #[test]
    fn a_directory_others_may_enter_is_told_from_a_private_or_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a");
        assert!(!is_open_to_others(&folder));
        create_private_dir(&folder).unwrap();
        assert!(!is_open_to_others(&folder));
        for mode in [0o750, 0o701] {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(is_open_to_others(&folder), "{mode:o}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_no_temporary_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        write_atomic(&path, b"one", Access::Shared).unwrap();
        write_atomic(&path, b"two", Access::Shared).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_present_file_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        write_if_missing(&path, b"one").unwrap();
        write_if_missing(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }
}
