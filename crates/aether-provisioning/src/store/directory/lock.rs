//! One writer at a time, and room to write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::StoreError;
use super::super::disk::{Disk, Held};
use super::layout::Layout;
use super::write::{failed, make_directory, put, remove};

/// How much is written to see whether there is room: a key, a certificate, records and pointers, each of which takes
/// at least one block of 4 KiB on most file systems, with their directories.
const ROOM: usize = 48 * 1024;

/// The lock of a store and its clones: taken when first written to, given back when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock(Arc<Mutex<Option<Box<dyn Held>>>>);

/// Keeps other threads from the store while one is at work.
pub(super) type Turn<'a> = MutexGuard<'a, Option<Box<dyn Held>>>;

impl Lock {
    /// Waits for other threads of this process that work on the store.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the store for this process, making its directory where it is missing.
pub(super) fn take(held: &mut Turn<'_>, disk: &dyn Disk, layout: &Layout) -> Result<(), StoreError> {
    if held.is_some() {
        return Ok(());
    }
    make_directory(disk, layout.root())?;
    let path = layout.lock();
    let lock = disk.lock(&path).map_err(|e| failed("lock", &path, e))?;
    let lock = lock.ok_or_else(|| StoreError::InUse { path: layout.root().to_owned() })?;
    **held = Some(lock);
    Ok(())
}

/// Sees whether what provisioning writes has room, by writing as much.
pub(super) fn probe(disk: &dyn Disk, layout: &Layout) -> Result<(), StoreError> {
    // Random, for a file system that compresses; where there is no randomness now, any bytes do.
    let mut content = vec![0; ROOM];
    let _ = getrandom::fill(&mut content);
    let path = layout.probe();
    put(disk, &path, &content)?;
    remove(disk, &path)
}
