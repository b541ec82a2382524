//! Why an identity could not be exported.

use std::io;
use std::path::PathBuf;

/// A text names no format that an identity can be exported in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`, expected device-client or mosquitto")]
#[non_exhaustive]
pub struct InvalidExportFormat {
    /// The text given.
    pub found: Box<str>,
}

/// Why an identity could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The private key is not in a file and does not leave where it is.
    #[error("the private key does not leave {locator}, and the format asks for a key file")]
    KeyElsewhere {
        /// Where the key is.
        locator: String,
    },
    /// A path cannot be written down in the configuration.
    #[error("the path {path:?} cannot stand in the configuration: {problem}")]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The directory for the private key is open to others.
    #[error(
        "{} has mode {found:04o}, expected 0700 for the directory of a private key: chmod 700 {}",
        path.display(), path.display()
    )]
    Mode {
        /// The directory.
        path: PathBuf,
        /// The permission bits found.
        found: u32,
    },
    /// The file system failed.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done, such as "write".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
