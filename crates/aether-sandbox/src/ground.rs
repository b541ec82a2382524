//! What a running sandbox stands on: its directory, locked, and taken away with it if nobody named one.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::{StartError, random};

/// The lock of the directory. Held as long as any task may still write there.
#[derive(Debug)]
pub(crate) struct Ground {
    /// Given up before the directory goes.
    _lock: File,
    _scratch: Option<Scratch>,
}

impl Ground {
    pub(crate) fn new(lock: File, scratch: Option<Scratch>) -> Self {
        Self { _lock: lock, _scratch: scratch }
    }
}

/// A directory of the sandbox's own below the system's temporary one; removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Makes it, with mode 0700 and a name nobody can guess.
    pub(crate) fn new() -> Result<Self, StartError> {
        let temporary = std::env::temp_dir();
        let name = random::hex_text::<16>().map_err(StartError::io("name a directory in", &temporary))?;
        let dir = temporary.join(format!("aether-sandbox-{name}"));
        disk::create_private_dir(&dir)?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(dir = %self.dir.display(), error, "temporary directory could not be removed");
        }
    }
}
