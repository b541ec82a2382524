//! The certificates of client applications: where the OPC UA library keeps them, and what keeps
//! strangers from filling the disk.
//!
//! The library writes every certificate that it meets into a directory before it looks at it:
//! into `trusted/` where any is accepted, else into `rejected/`. So where any is accepted the
//! library gets a directory of its own, `any/`, which is emptied all the time and can never
//! become the list of those who are trusted.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tracing::warn;

use crate::{certificate::make_private_dir, error::StartError, settings::ClientCertificates};

/// Most certificates that `rejected/` keeps: the newest, for somebody to look at.
const MAX_REJECTED: usize = 64;
/// How often the directories are tidied.
///
/// A stranger pays a handshake for each file, so that less than some hundred can come between.
pub(crate) const TIDY_EVERY: Duration = Duration::from_millis(250);

/// The directory in which the OPC UA library keeps clients' certificates.
#[derive(Debug)]
pub(crate) struct ClientStore {
    root: PathBuf,
    accepted: ClientCertificates,
}

impl ClientStore {
    /// Makes the directories below `pki_dir`.
    pub(crate) fn open(pki_dir: &Path, accepted: ClientCertificates) -> Result<Self, StartError> {
        let root = match accepted {
            ClientCertificates::Any => pki_dir.join("any"),
            ClientCertificates::Trusted => pki_dir.to_owned(),
        };
        for dir in ["trusted", "rejected"] {
            make_private_dir(&root.join(dir))?;
        }
        let store = Self { root, accepted };
        store.tidy();
        Ok(store)
    }

    /// Returns the directory to give to the library.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Removes what strangers left behind.
    ///
    /// Runs on the thread on which the library writes and reads those files in one go, so that it never
    /// takes one away in between.
    pub(crate) fn tidy(&self) {
        let result = match self.accepted {
            ClientCertificates::Any => {
                keep_newest(&self.root.join("trusted"), 0).and_then(|()| keep_newest(&self.root.join("rejected"), 0))
            }
            ClientCertificates::Trusted => keep_newest(&self.root.join("rejected"), MAX_REJECTED),
        };
        if let Err(error) = result {
            warn!(dir = %self.root.display(), error = &error as &dyn std::error::Error, "could not tidy the certificates of clients");
        }
    }
}

fn keep_newest(dir: &Path, keep: usize) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
    }
    if files.len() > keep {
        files.sort();
        for (_, path) in &files[..files.len() - keep] {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn certificates_of_strangers_do_not_pile_up_and_are_never_trusted_later() {
        let dir = tempfile::tempdir().unwrap();
        let store = ClientStore::open(dir.path(), ClientCertificates::Any).unwrap();
        for n in 0..100 {
            fs::write(store.root().join("trusted").join(format!("{n}.der")), "x").unwrap();
        }
        store.tidy();
        assert_eq!(count(&store.root().join("trusted")), 0);
        let strict = ClientStore::open(dir.path(), ClientCertificates::Trusted).unwrap();
        assert_ne!(strict.root(), store.root());
    }

    #[test]
    fn those_trusted_are_kept_and_of_those_rejected_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let store = ClientStore::open(dir.path(), ClientCertificates::Trusted).unwrap();
        let (trusted, rejected) = (dir.path().join("trusted"), dir.path().join("rejected"));
        for n in 0..100_u64 {
            fs::write(trusted.join(format!("{n}.der")), "x").unwrap();
            let file = fs::File::create(rejected.join(format!("{n}.der"))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(n)).unwrap();
        }
        store.tidy();
        assert_eq!((count(&trusted), count(&rejected)), (100, MAX_REJECTED));
        assert!(rejected.join("99.der").exists() && !rejected.join("0.der").exists());
    }
}
