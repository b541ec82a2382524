//! `DIR/control.json`: where a running sandbox is reached, and with which token.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;

use super::AdminToken;
use crate::Files;
use crate::disk::{Access, write_atomic};

/// The address of the HTTP port as a URL that a client on this machine can use.
pub(crate) fn url(http: SocketAddr) -> String {
    match http.ip().is_unspecified() {
        true => format!("http://localhost:{}", http.port()),
        false => format!("http://{http}"),
    }
}

/// The file, there for as long as this value is.
#[derive(Debug)]
pub(crate) struct ControlFile(PathBuf);

impl ControlFile {
    /// Writes it with mode 0600. Blocks.
    pub(crate) fn write(files: &Files, http: SocketAddr, token: &AdminToken) -> io::Result<Self> {
        let path = files.control().to_owned();
        let text = json!({
            "url": url(http),
            "token": token.reveal(),
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        write_atomic(&path, format!("{text:#}\n").as_bytes(), Access::Owner)?;
        Ok(Self(path))
    }

    /// Removes one that a killed sandbox has left behind. Only whoever holds the directory's lock may.
    pub(crate) fn clear(files: &Files) {
        // Most often there is none.
        let _ = std::fs::remove_file(files.control());
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        // One that stays is found out by its reader: nobody answers with its token.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone_and_goes_with_the_sandbox() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        let token = AdminToken::random().unwrap();
        let file = ControlFile::write(&files, ([127, 0, 0, 1], 8080).into(), &token).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&std::fs::read(files.control()).unwrap()).unwrap();
        assert_eq!(found["url"], "http://127.0.0.1:8080");
        assert_eq!(found["token"], token.reveal());
        assert_eq!(std::fs::metadata(files.control()).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!files.control().exists());
        std::mem::forget(ControlFile::write(&files, ([127, 0, 0, 1], 8080).into(), &token).unwrap());
        ControlFile::clear(&files);
        assert!(!files.control().exists());
    }
}
