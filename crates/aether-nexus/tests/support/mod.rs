//! Configuration files in fresh directories, and the errors they end in.

#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    error::Error,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aether_nexus::{Environment, Nexus};
use tempfile::TempDir;

/// A directory with a configuration file in it.
pub(crate) fn config(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("aether.toml");
    fs::write(&file, text).unwrap();
    (dir, file)
}

/// Writes a file that only its owner may read.
pub(crate) fn secret(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Loads and builds `file`; the error with its causes.
pub(crate) fn built(file: &Path, variables: &[(&str, &str)]) -> Result<Nexus, String> {
    let builder = Nexus::from_file(file).map_err(|error| chain(&error))?;
    builder.environment_from(&Variables(variables)).build().map_err(|error| chain(&error))
}

/// Loads and builds `text`, which must fail, and looks for each of `parts` in the error.
#[track_caller]
pub(crate) fn refused(text: &str, parts: &[&str]) {
    let (dir, file) = config(text);
    let error = built(&file, &[]).expect_err("this configuration cannot work");
    for part in parts {
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["aether.toml"], "nothing was written");
}

/// An environment with these variables.
pub(crate) struct Variables<'a>(pub(crate) &'a [(&'a str, &'a str)]);

impl Environment for Variables<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    }
}
