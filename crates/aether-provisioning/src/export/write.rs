//! Writes an export with copies of certificate and key into a directory.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};

use super::{Export, ExportError, ExportFormat, IdentityFiles};

/// What [`Export::write_to`] has written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The configuration.
    pub configuration: PathBuf,
    /// Copies of certificate and key, which it names.
    pub files: IdentityFiles,
}

/// Which file lies where, with which mode.
struct Layout {
    /// Mode of the directory that was asked for.
    directory: u32,
    configuration: &'static str,
    configuration_mode: u32,
    /// Below the directory; empty for the directory itself.
    keys: &'static str,
    certificate: &'static str,
    key: &'static str,
    /// Bits that the directory of the key may not have.
    forbidden: u32,
}

impl Layout {
    /// The Device Client accepts its files with exactly these modes, and looks for them under these names in
    /// `~/.aws-iot-device-client`. Of Mosquitto's the names are ours.
    const fn of(format: ExportFormat) -> Self {
        match format {
            ExportFormat::DeviceClient => Self {
                directory: 0o745,
                configuration: "aws-iot-device-client-runtime.conf",
                configuration_mode: 0o640,
                keys: "keys",
                certificate: "active-certificate.pem.crt",
                key: "active-private.pem.key",
                forbidden: 0o077,
            },
            ExportFormat::Mosquitto => Self {
                directory: 0o700,
                configuration: "bridge.conf",
                configuration_mode: 0o644,
                keys: "",
                certificate: "certificate.pem",
                key: "private.key",
                forbidden: 0o022,
            },
        }
    }
}

impl Export<'_> {
    /// Writes configuration and copies of certificate and private key below `directory`, replacing those of an earlier
    /// export.
    ///
    /// | | `device-client` | `mosquitto` |
    /// | --- | --- | --- |
    /// | configuration | `aws-iot-device-client-runtime.conf`, 0640 | `bridge.conf`, 0644 |
    /// | certificate | `keys/active-certificate.pem.crt`, 0644 | `certificate.pem`, 0644 |
    /// | private key | `keys/active-private.pem.key`, 0600 | `private.key`, 0600 |
    /// | directories made | 0745, `keys` 0700 | 0700 |
    ///
    /// The modes on the left are the ones that the AWS IoT Device Client insists on. A file gets its name when it is
    /// whole, the configuration last; the key has its mode from the moment it exists.
    ///
    /// # Errors
    ///
    /// As for [`render`](Self::render); [`ExportError::Mode`] if the key's directory is there and others may write in
    /// it (`device-client`: have any right to it); [`ExportError::Io`] if something cannot be written.
    pub fn write_to(&self, format: ExportFormat, directory: &Path) -> Result<Exported, ExportError> {
        let layout = Layout::of(format);
        let root = std::path::absolute(directory).map_err(failed("find", directory))?;
        let keys = if layout.keys.is_empty() { root.clone() } else { root.join(layout.keys) };
        let files = IdentityFiles::new(keys.join(layout.certificate), keys.join(layout.key));
        // Nothing is written when something cannot be said.
        let text = self.render(format, &files)?;
        let key = self.key_pem()?;

        make_directory(&root, layout.directory)?;
        make_directory(&keys, 0o700)?;
        check(&keys, layout.forbidden)?;
        put(&files.private_key, 0o600, key)?;
        put(&files.certificate, 0o644, self.identity.credentials().certificate_pem())?;
        let configuration = root.join(layout.configuration);
        put(&configuration, layout.configuration_mode, text.as_bytes())?;
        Ok(Exported { configuration, files })
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<(), ExportError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(mode);
    builder.create(path).and_then(|()| set_mode(path, mode)).map_err(failed("make", path))
}

#[cfg(unix)]
fn check(directory: &Path, forbidden: u32) -> Result<(), ExportError> {
    let found = fs::metadata(directory).map_err(failed("look at", directory))?.permissions().mode() & 0o7777;
    if found & forbidden == 0 { Ok(()) } else { Err(ExportError::Mode { path: directory.to_owned(), found }) }
}

#[cfg(not(unix))]
fn check(_directory: &Path, _forbidden: u32) -> Result<(), ExportError> {
    Ok(())
}

/// Writes a file beside its place and renames it into it.
fn put(path: &Path, mode: u32, content: &[u8]) -> Result<(), ExportError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.tmp"));
    let write = || {
        match fs::remove_file(&draft) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&draft)?;
        file.write_all(content)?;
        // Wider only now, and whatever the umask is: the Device Client wants these bits exactly.
        set_mode(&draft, mode)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_directory(path)
    };
    write().map_err(failed("write", path))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_directory(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(not(unix))]
fn sync_directory(_file: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    move |source| ExportError::Io { doing, path, source }
}
