//! Why an identity could not be kept, and what was found to be damaged.

use std::io;
use std::path::PathBuf;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why an identity could not be loaded or kept.
///
/// [`is_retryable`](Self::is_retryable) tells whether the same call may succeed later without a change by a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
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
    /// A secret may be read or replaced by others than its owner.
    #[error(
        "{} has mode {found:04o}, which lets others in; expected {expected:04o} or stricter: chmod {expected:o} {}",
        path.display(),
        path.display()
    )]
    Mode {
        /// The file or directory.
        path: PathBuf,
        /// The permission bits found.
        found: u32,
        /// The widest that is accepted.
        expected: u32,
    },
    /// A file or directory belongs to somebody else than the user of this process.
    #[error("{} belongs to user {found}, expected {expected}: chown {expected} {}, or run as that user", path.display(), path.display())]
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// The user id found.
        found: u32,
        /// The user id of this process.
        expected: u32,
    },
    /// Another process provisions with this store.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// The active or the previous identity has the same certificate id as what was to be kept, and another certificate.
    #[error("{} holds another certificate, which is in use", path.display())]
    Taken {
        /// Its directory.
        path: PathBuf,
    },
    /// What stands there is not what was written, and what was asked cannot be done without it.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Source,
    },
}

impl StoreError {
    /// Whether the same call may succeed later: the disk was full, over quota, busy or failing.
    ///
    /// Final are permissions, owners, a file system that is read-only, and another process in the way.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::Io { source, .. } => !matches!(
                source.kind(),
                Kind::PermissionDenied
                    | Kind::ReadOnlyFilesystem
                    | Kind::NotADirectory
                    | Kind::IsADirectory
                    | Kind::AlreadyExists
                    | Kind::InvalidInput
                    | Kind::InvalidFilename
                    | Kind::Unsupported
            ),
            Self::Mode { .. } | Self::Owner { .. } | Self::InUse { .. } | Self::Taken { .. } | Self::Damaged { .. } => {
                false
            }
        }
    }
}

/// Something in the store that was passed over because it cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} cannot be used: {}: {fault}", path.display())]
#[non_exhaustive]
pub struct Finding {
    /// What it was, such as "the active identity".
    pub what: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a thing that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is not there although something points at it.
    #[error("missing")]
    Missing,
    /// It cannot be read as what it should be; the text says why and shows nothing of the content.
    #[error("{0}")]
    Unreadable(String),
    /// The medium failed to give it back, twice; the text is what the operating system said.
    #[error("{0}")]
    Medium(String),
    /// The certificate's time is over.
    #[error("the certificate expired at {0}")]
    Expired(String),
    /// The private key cannot be had from where it is, such as a token.
    #[error("the private key cannot be opened: {0}")]
    Key(String),
}
