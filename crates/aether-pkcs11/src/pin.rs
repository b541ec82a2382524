//! The PIN of a token, and the file it comes from.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The PIN of a token's user.
///
/// **Secret**: `Debug` shows nothing of it, and neither does any error or log.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Box<str>);

/// Why a text or a file gives no PIN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// There is nothing in it.
    #[error("the PIN is empty")]
    Empty,
    /// It is longer than any PIN.
    #[error("the PIN has more than {limit} bytes")]
    TooLong {
        /// The most bytes of a PIN.
        limit: usize,
    },
    /// It is no UTF-8 text, or has a control character in it.
    #[error("the PIN is not one line of text in UTF-8")]
    Text,
    /// The file cannot be read.
    #[error("could not read the PIN from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file holds no PIN.
    #[error("{} holds no PIN", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with what it holds.
        #[source]
        source: Box<PinError>,
    },
    /// Others than the file's owner may read or write it.
    #[error("{} has mode {mode:04o}, which lets others at the PIN: run `chmod 600 {}`", path.display(), path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl Pin {
    /// The most bytes of a PIN.
    pub const MAX_LEN: usize = 255;

    /// A PIN from a text: 1 to 255 bytes, one line.
    ///
    /// # Errors
    ///
    /// [`PinError::Empty`], [`PinError::TooLong`] and [`PinError::Text`].
    pub fn new(text: &str) -> Result<Self, PinError> {
        match text.len() {
            0 => Err(PinError::Empty),
            1..=Self::MAX_LEN if !text.chars().any(char::is_control) => Ok(Self(text.into())),
            1..=Self::MAX_LEN => Err(PinError::Text),
            _ => Err(PinError::TooLong { limit: Self::MAX_LEN }),
        }
    }

    /// Reads a PIN from a file that nobody but its owner may read or write (mode 0600 or stricter). One line end after
    /// the PIN is left out.
    ///
    /// # Errors
    ///
    /// [`PinError::Read`], [`PinError::Mode`] and [`PinError::File`], each with the path.
    pub fn from_file(path: &Path) -> Result<Self, PinError> {
        let unreadable = |source| PinError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        // Of the open file, so that it cannot be exchanged in between.
        check_mode(path, &file.metadata().map_err(unreadable)?)?;
        let mut content = Vec::new();
        // Room for the longest PIN, its line end, and one byte that tells of more.
        file.take(Self::MAX_LEN as u64 + 3).read_to_end(&mut content).map_err(unreadable)?;
        let pin = std::str::from_utf8(&content).map_err(|_| PinError::Text).and_then(|text| {
            let line = text.strip_suffix('\n').unwrap_or(text);
            Self::new(line.strip_suffix('\r').unwrap_or(line))
        });
        pin.map_err(|source| PinError::File { path: path.to_owned(), source: Box::new(source) })
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &std::fs::Metadata) -> Result<(), PinError> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(PinError::Mode { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &std::fs::Metadata) -> Result<(), PinError> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read(content: &[u8], mode: u32) -> Result<Pin, PinError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Pin::from_file(&path)
    }

    #[test]
    fn a_pin_is_read_with_and_without_a_line_end() {
        for content in ["123456", "123456\n", "123456\r\n"] {
            for mode in [0o600, 0o400] {
                assert_eq!(read(content.as_bytes(), mode).unwrap().reveal(), "123456");
            }
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_its_mode_and_the_fix() {
        for mode in [0o644, 0o640, 0o602] {
            let error = read(b"123456", mode).unwrap_err();
            assert!(matches!(error, PinError::Mode { mode: found, .. } if found == mode), "{error:?}");
            assert!(error.to_string().contains(&format!("mode {mode:04o}")) && error.to_string().contains("chmod 600"));
        }
    }

    #[test]
    fn what_is_no_pin_is_refused_and_never_repeated() {
        let long = "8".repeat(256);
        for content in [&b""[..], b"\n", b"\xff\xfe", b"1234\n5678\n", long.as_bytes(), &long.repeat(40).into_bytes()] {
            let error = read(content, 0o600).unwrap_err();
            let PinError::File { source, .. } = &error else { panic!("{error:?}") };
            let shown = format!("{error} {error:?} {source}");
            assert!(!shown.contains("1234") && !shown.contains("888"), "{shown}");
        }
        assert!(matches!(Pin::from_file(Path::new("/nowhere/pin")), Err(PinError::Read { .. })));
    }

    #[test]
    fn debug_output_shows_nothing_of_the_pin() {
        assert_eq!(format!("{:?}", Pin::new("123456").unwrap()), "Pin(..)");
    }
}
