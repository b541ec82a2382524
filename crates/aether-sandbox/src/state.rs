//! Opens the state directory: what is missing is made, what is there is read and left alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::audit::{AuditLog, AuditWriter};
use crate::disk::{self, Access};
use crate::files::Layout;
use crate::pki::{Authority, open_pair};
use crate::policy::{CLAIM_POLICY, OBSERVER_POLICY, PolicyStore};
use crate::provisioning::{Template, default_template};
use crate::registry::{Registry, RegistryError};
use crate::{CertificateId, CertificateKind, Files, StartError};

const DEFAULT_TEMPLATE_NAME: &str = "Aether";
const FORMAT: u32 = 1;

/// The settings that concern the directory.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) dir: PathBuf,
    pub(crate) template_name: Option<String>,
}

/// An opened state directory.
pub(crate) struct State {
    pub(crate) lock: File,
    pub(crate) registry: Registry,
    pub(crate) policies: PolicyStore,
    pub(crate) template: Template,
    pub(crate) template_name: String,
    pub(crate) device_ca: Authority,
    pub(crate) server_certificate: CertificateDer<'static>,
    pub(crate) server_key: PrivateKeyDer<'static>,
    pub(crate) customer_cas: PathBuf,
    pub(crate) audit: AuditLog,
    pub(crate) audit_writer: AuditWriter,
}

/// What a directory remembers of the settings it was first used with: `settings.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    format: u32,
    template_name: String,
}

/// Opens or makes the directory. Blocks.
pub(crate) fn open(wanted: &Wanted, listen: IpAddr) -> Result<State, StartError> {
    let layout = Layout::new(&wanted.dir);
    let files = Files::new(&wanted.dir);
    if disk::is_open_to_others(layout.dir()) {
        tracing::warn!(dir = %layout.dir().display(), "group or others may look into the directory, expected mode 0700");
    }
    disk::create_private_dir(layout.dir())?;
    let lock = lock(&layout)?;
    let remembered = remembered(&layout)?;
    let template_name = template_name(wanted, remembered.as_ref())?;

    disk::create_private_dir(&layout.private())?;
    disk::create_private_dir(&layout.customer_cas())?;
    let policies = PolicyStore::open(&layout.policies(), &template_name)?;
    let template = template(&layout.template(), &policies)?;
    let registry = Registry::open(&layout, SystemTime::now())?;
    let server_ca = Authority::open(files.ca(), &layout.server_ca_key(), "Aether sandbox server CA")?;
    let device_ca = Authority::open(&layout.device_ca_cert(), &layout.device_ca_key(), "Aether sandbox device CA")?;
    for own in [
        Own {
            cert: files.claim_cert(),
            key: files.claim_key(),
            common_name: "Aether sandbox claim",
            kind: CertificateKind::Claim,
            policy: CLAIM_POLICY,
        },
        Own {
            cert: files.observer_cert(),
            key: files.observer_key(),
            common_name: "Aether sandbox observer",
            kind: CertificateKind::Observer,
            policy: OBSERVER_POLICY,
        },
    ] {
        own.open(&device_ca, &registry)?;
    }
    let (server_certificate, server_key) = server_ca.issue_server(listen)?;
    let (audit, audit_writer) = AuditLog::open(files.audit_log()).map_err(StartError::io("open", files.audit_log()))?;
    if remembered.is_none() {
        remember(&layout, &template_name)?;
    }
    Ok(State {
        lock,
        registry,
        policies,
        template,
        template_name,
        device_ca,
        server_certificate,
        server_key,
        customer_cas: layout.customer_cas(),
        audit,
        audit_writer,
    })
}

/// Checks the name of a provisioning template (sheet, 1.6).
pub(crate) fn check_template_name(name: &str) -> Result<(), StartError> {
    let good = (1..=36).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match good {
        true => Ok(()),
        false => Err(StartError::TemplateName {
            found: format!("{name:?}"),
            expected: "1 to 36 characters of 0-9 A-Z a-z _ -".to_owned(),
        }),
    }
}

/// One of the sandbox's own client certificates.
struct Own<'a> {
    cert: &'a Path,
    key: &'a Path,
    common_name: &'static str,
    kind: CertificateKind,
    policy: &'static str,
}

impl Own<'_> {
    fn open(&self, device_ca: &Authority, registry: &Registry) -> Result<(), StartError> {
        let pair = open_pair(self.cert, self.key, |key| device_ca.issue_client(self.common_name, key))?;
        let id = CertificateId::of_der(pair.certificate.der());
        match registry.admit(id, self.kind, &pair.pem, self.policy, SystemTime::now()) {
            Ok(()) => Ok(()),
            Err(RegistryError::Io { path, source }) => Err(StartError::io("write", &path)(source)),
            Err(cause @ (RegistryError::Unknown | RegistryError::Token)) => {
                Err(StartError::crypto("a registry entry")(cause))
            }
        }
    }
}

fn lock(layout: &Layout) -> Result<File, StartError> {
    let path = layout.lock();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StartError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::DirectoryInUse { dir: layout.dir().to_owned() }),
        Err(TryLockError::Error(source)) => Err(StartError::io("lock", &path)(source)),
    }
}

fn remembered(layout: &Layout) -> Result<Option<Remembered>, StartError> {
    const EXPECTED: &str = "the settings of a sandbox of this version";
    let path = layout.settings();
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read(&path).map_err(StartError::io("read", &path))?;
    let found: Remembered = serde_json::from_slice(&text).map_err(StartError::invalid_file(&path, EXPECTED))?;
    match found.format {
        FORMAT => Ok(Some(found)),
        other => {
            let cause = format!("format is {other}, expected {FORMAT}");
            Err(StartError::invalid_file(&path, EXPECTED)(cause))
        }
    }
}

fn remember(layout: &Layout, template_name: &str) -> Result<(), StartError> {
    let path = layout.settings();
    let settings = Remembered { format: FORMAT, template_name: template_name.to_owned() };
    let mut text =
        serde_json::to_vec_pretty(&settings).map_err(|cause| StartError::io("write", &path)(cause.into()))?;
    text.push(b'\n');
    disk::write_atomic(&path, &text, Access::Shared).map_err(StartError::io("write", &path))
}

fn template_name(wanted: &Wanted, remembered: Option<&Remembered>) -> Result<String, StartError> {
    match (&wanted.template_name, remembered) {
        (Some(wanted), Some(kept)) if *wanted != kept.template_name => Err(StartError::TemplateName {
            found: format!("{wanted:?}"),
            expected: format!("{:?}, which this directory was first used with", kept.template_name),
        }),
        (_, Some(kept)) => Ok(kept.template_name.clone()),
        (Some(wanted), None) => Ok(wanted.clone()),
        (None, None) => Ok(DEFAULT_TEMPLATE_NAME.to_owned()),
    }
}

fn template(path: &Path, policies: &PolicyStore) -> Result<Template, StartError> {
    const EXPECTED: &str = "a fleet provisioning template";
    disk::write_if_missing(path, default_template().as_bytes())?;
    let text = std::fs::read_to_string(path).map_err(StartError::io("read", path))?;
    let template = Template::parse(&text).map_err(StartError::invalid_file(path, EXPECTED))?;
    if let Some(missing) = template.plain_policies().find(|name| !policies.contains(name)) {
        let cause = format!("policy {missing:?} is not in the policies folder");
        return Err(StartError::invalid_file(path, EXPECTED)(cause));
    }
    Ok(template)
}
