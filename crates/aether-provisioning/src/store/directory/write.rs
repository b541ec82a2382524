//! Files that are there whole or not at all, and that nobody else may read.
//!
//! When a function returns `Ok`, what it did survives a power cut. It does so even if it found its work done: a process
//! that was killed may have done it without coming to the sync.

use std::io;
use std::path::Path;

use super::super::StoreError;
use super::super::disk::{Disk, Kind};
use super::layout::unfinished;

/// Makes a directory, with its parents, for this user alone; leaves one that is there as it is.
pub(super) fn make_directory(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    let parent = parent_of(path);
    match disk.entry_behind_links(path).map_err(|e| failed("look at", path, e))? {
        Some(entry) if entry.kind == Kind::Directory => {
            return match disk.sync_directory(parent) {
                // What stands above the store may be closed to us; then it was not we who made it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                result => result.map_err(|e| failed("sync directory", parent, e)),
            };
        }
        Some(_) => return Err(failed("make directory", path, io::ErrorKind::NotADirectory.into())),
        None => {}
    }
    if parent != Path::new(".") {
        make_directory(disk, parent)?;
    }
    match disk.make_directory(path) {
        Ok(()) => sync_directory(disk, parent),
        // Made by somebody else in between.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_directory(disk, parent),
        Err(error) => Err(failed("make directory", path, error)),
    }
}

/// Writes a file so that after a kill or power cut either the old or the new content is there, never a part.
pub(super) fn put(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let directory = parent_of(path);
    let beside = directory.join(unfinished(&path.file_name().unwrap_or_default().to_string_lossy()));
    remove_quietly(disk, &beside)?;
    let written = disk.create(&beside).and_then(|mut file| {
        file.write(content)?;
        file.sync()
    });
    if let Err(error) = written {
        // On a full disk, what stays would keep it full.
        let _ = disk.remove_file(&beside);
        return Err(failed("write", path, error));
    }
    disk.rename(&beside, path).map_err(|e| failed("put in place", path, e))?;
    sync_directory(disk, directory)
}

/// Makes sure that a file which was found as it should be also stays so.
pub(super) fn settle(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    disk.sync_file(path).map_err(|e| failed("sync", path, e))?;
    sync_directory(disk, parent_of(path))
}

/// Removes a file, if it exists.
pub(super) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    remove_quietly(disk, path)?;
    sync_directory(disk, parent_of(path))
}

/// Removes a file, if it exists, without making that last.
fn remove_quietly(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    match disk.remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove", path, error)),
    }
}

/// Removes a directory of files.
pub(super) fn remove_directory(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    for name in disk.names(path).map_err(|e| failed("read", path, e))? {
        remove_quietly(disk, &path.join(name))?;
    }
    disk.remove_directory(path).map_err(|e| failed("remove", path, e))?;
    sync_directory(disk, parent_of(path))
}

pub(super) fn sync_directory(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    disk.sync_directory(path).map_err(|e| failed("sync directory", path, e))
}

pub(super) fn failed(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { doing, path: path.to_owned(), source }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
