//! An identity in the words of other programs: what lets them connect as the Thing.

mod device_client;
mod error;
mod mosquitto;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aether_mqtt::Endpoint;

pub use self::error::{ExportError, InvalidExportFormat};
pub use self::write::Exported;
use crate::Identity;

/// The program that an identity is exported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportFormat {
    /// The runtime configuration of the AWS IoT Device Client, with which it does not provision again.
    DeviceClient,
    /// A `bridge` section for Eclipse Mosquitto, 2.0 or newer.
    Mosquitto,
}

impl ExportFormat {
    /// The name, as in `device-client`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeviceClient => "device-client",
            Self::Mosquitto => "mosquitto",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ExportFormat {
    type Err = InvalidExportFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::DeviceClient, Self::Mosquitto]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| InvalidExportFormat { found: text.into() })
    }
}

/// Where the two files of an identity are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub private_key: PathBuf,
}

impl IdentityFiles {
    /// Files at these paths.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, private_key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), private_key: private_key.into() }
    }
}

/// An identity that another program is to use.
///
/// It is a copy: after a rotation it has to be exported again, and only one program at a time can be connected as the
/// Thing, for the Thing's name is the MQTT client id.
#[derive(Clone, Debug)]
pub struct Export<'a> {
    identity: &'a Identity,
    endpoint: &'a Endpoint,
    root_ca: Option<&'a Path>,
}

impl<'a> Export<'a> {
    /// Exports `identity`, which connects to `endpoint`.
    #[must_use]
    pub fn new(identity: &'a Identity, endpoint: &'a Endpoint) -> Self {
        Self { identity, endpoint, root_ca: None }
    }

    /// The file with the roots that vouch for the endpoint. Default: none; a bridge then takes the public ones
    /// in `/etc/ssl/certs`.
    #[must_use]
    pub fn root_ca(mut self, root_ca: &'a Path) -> Self {
        self.root_ca = Some(root_ca);
        self
    }

    /// The configuration in which `files` are named; nothing of their content is in it.
    ///
    /// # Errors
    ///
    /// [`ExportError::KeyElsewhere`] if there is no key file, as the key is in a token; [`ExportError::Path`] if a path
    /// is relative or cannot be written down in the format.
    pub fn render(&self, format: ExportFormat, files: &IdentityFiles) -> Result<String, ExportError> {
        self.key_pem()?;
        match format {
            ExportFormat::DeviceClient => device_client::render(self.identity, files),
            ExportFormat::Mosquitto => mosquitto::render(self, files),
        }
    }

    /// The private key. **Secret.**
    fn key_pem(&self) -> Result<&[u8], ExportError> {
        let key = self.identity.credentials().private_key();
        let elsewhere = || ExportError::KeyElsewhere { locator: key.locator().unwrap_or("unknown").to_owned() };
        key.pem().ok_or_else(elsewhere)
    }
}

/// A path as text that every program reads alike, wherever it is started.
fn plain(path: &Path) -> Result<&str, ExportError> {
    let refuse = |problem| ExportError::Path { path: path.to_owned(), problem };
    if !path.is_absolute() {
        return Err(refuse("it is relative"));
    }
    let text = path.to_str().ok_or_else(|| refuse("it is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refuse("it holds a control character"));
    }
    if text.ends_with(' ') {
        return Err(refuse("it ends with a blank"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
