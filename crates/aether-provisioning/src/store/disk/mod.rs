//! What the store asks of a file system, one operation at a time: the seam at which tests fail, kill and cut the power.

mod real;
#[cfg(any(test, feature = "test-util"))]
pub mod simulated;

use std::fmt;
use std::io;
use std::path::Path;

pub(crate) use real::RealDisk;

/// A file system. Each method is one operation, which happens or does not.
///
/// What was written, created, renamed or removed survives a power cut only after a sync of the file (its content) or of
/// the directory (its names).
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// What stands at `path`, not looking behind a symbolic link; `None` if nothing does.
    fn entry(&self, path: &Path) -> io::Result<Option<Entry>>;

    /// As [`entry`](Self::entry), looking behind symbolic links.
    fn entry_behind_links(&self, path: &Path) -> io::Result<Option<Entry>>;

    /// The content of a file that is no symbolic link; at most `limit` bytes of it.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The names in a directory that are UTF-8; no others are ours.
    fn names(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes a directory with mode 0700. Fails if something is there.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes an empty file with mode 0600. Fails if something is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file the place of another, or one that is free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the content of a file survive a power cut.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory survive a power cut.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock file at `path`, made where it is missing; `None` if somebody else has it. Dropping gives it back.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>>;

    /// The user id of this process; `None` where files have no owners in this sense.
    fn user(&self) -> Option<u32>;
}

/// A file that is being written.
pub(crate) trait DiskFile {
    /// Appends all of `content`.
    fn write(&mut self, content: &[u8]) -> io::Result<()>;

    /// Makes what was written survive a power cut.
    fn sync(&mut self) -> io::Result<()>;
}

/// A lock, until it is dropped.
pub(crate) trait Held: fmt::Debug + Send + Sync {}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// Permission bits; 0 where there are none.
    pub(crate) mode: u32,
    /// User id; 0 where there is none.
    pub(crate) owner: u32,
}

/// The kind of thing that stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Other => "neither file nor directory",
        })
    }
}
