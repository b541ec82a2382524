//! The state directory: one process at a time, readable by its owner alone.

mod lock;
mod serial;

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    path::Path,
};

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

pub(crate) use lock::{LockError, StateLock};
pub(crate) use serial::serial_number;

/// Makes the directory with mode 0700, and its parents; leaves one that is there as it is.
fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(path)
}

/// Options of a file that has mode 0600 from the moment it exists.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    options.mode(0o600);
    options
}
