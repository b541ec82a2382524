//! The stored identity for another program.

use std::{
    path::{Path, PathBuf, absolute},
    time::SystemTime,
};

use aether_provisioning::{Export, ExportError, ExportFormat, IdentityFiles, IdentityStore};

use super::{AtRestError, DeviceAtRest};
use crate::check;

/// An identity written for another program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportedIdentity {
    /// The configuration.
    pub configuration: PathBuf,
    /// The copy of the certificate.
    pub certificate: PathBuf,
    /// The copy of the private key.
    pub private_key: PathBuf,
}

impl DeviceAtRest {
    /// The configuration of another program that is to connect as this device's Thing, naming the files of the store.
    /// Blocks for a few reads.
    ///
    /// # Errors
    ///
    /// [`AtRestError`]: there is no identity or no endpoint, the store cannot be read, or
    /// [`ExportError`], as where the key stays in a token.
    pub fn export(&self, format: ExportFormat) -> Result<String, AtRestError> {
        self.exporting(|export, files| export.render(format, files))
    }

    /// As [`export`](Self::export), with copies of certificate and private key, into files of `directory`: see
    /// [`Export::write_to`] for names and modes.
    ///
    /// # Errors
    ///
    /// As for [`export`](Self::export).
    pub fn export_to(&self, format: ExportFormat, directory: &Path) -> Result<ExportedIdentity, AtRestError> {
        let written = self.exporting(|export, _| export.write_to(format, directory))?;
        let IdentityFiles { certificate, private_key, .. } = written.files;
        Ok(ExportedIdentity { configuration: written.configuration, certificate, private_key })
    }

    fn exporting<T>(
        &self,
        work: impl FnOnce(Export<'_>, &IdentityFiles) -> Result<T, ExportError>,
    ) -> Result<T, AtRestError> {
        let settings = &self.builder.settings.aws_iot;
        let host = settings.endpoint.as_deref().ok_or_else(|| AtRestError::Settings(check::no_endpoint()))?;
        let endpoint = check::endpoint(host, settings).map_err(AtRestError::Settings)?;
        let io = |path: PathBuf| move |source| AtRestError::Export(ExportError::Io { doing: "find", path, source });
        let state_dir = absolute(self.state_dir()).map_err(io(self.state_dir()))?;
        let root_ca = settings.root_ca.as_ref().map(|path| absolute(path).map_err(io(path.clone()))).transpose()?;

        let store = self.store(&state_dir)?;
        let contents = store.load(SystemTime::now()).map_err(AtRestError::Store)?;
        let identity = contents.active.ok_or(AtRestError::NoIdentity(state_dir))?;
        let mut export = Export::new(&identity, &endpoint);
        if let Some(root_ca) = &root_ca {
            export = export.root_ca(root_ca);
        }
        work(export, &store.files_of(identity.certificate_id())).map_err(AtRestError::Export)
    }
}
