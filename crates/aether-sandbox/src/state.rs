//! Opens the state directory: what is missing is made, what is there is read and left alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::account::{
    Account, CLAIM_POLICY, CertificateMode, NewCertificate, OBSERVER_POLICY, Place, PolicyName, PolicyTarget,
    TemplateName, import_files,
};
use crate::audit::{AuditLog, AuditWriter};
use crate::clock::Clock;
use crate::disk::{self, Access};
use crate::files::Layout;
use crate::pki::{Authority, open_pair};
use crate::{CertificateId, CertificateKind, CertificateStatus, Files, StartError};

const DEFAULT_TEMPLATE_NAME: &str = "Aether";
/// Region of the resource names. AWS has no Region for a loopback address, so one is made up.
const DEFAULT_REGION: &str = "eu-west-1";
/// Account of the resource names, AWS's own placeholder.
const DEFAULT_ACCOUNT: &str = "123456789012";
const FORMAT: u32 = 2;

/// The settings that concern the directory.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) certificate_life: Option<Duration>,
    pub(crate) dir: PathBuf,
    pub(crate) template_name: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) clock: Clock,
    /// DNS names of the server certificate beside `localhost`.
    pub(crate) endpoint_names: Vec<String>,
}

/// An opened state directory.
pub(crate) struct State {
    pub(crate) lock: File,
    pub(crate) account: Account,
    pub(crate) template_name: TemplateName,
    pub(crate) device_ca: Authority,
    pub(crate) server_certificate: CertificateDer<'static>,
    pub(crate) server_key: PrivateKeyDer<'static>,
    pub(crate) server_names: Vec<String>,
    pub(crate) customer_cas: PathBuf,
    pub(crate) audit: AuditLog,
    pub(crate) audit_writer: AuditWriter,
}

/// What a directory remembers of the settings it was first used with: `settings.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    format: u32,
    template_name: TemplateName,
    region: String,
    account_id: String,
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
    let fixed = fixed(wanted, remembered.as_ref())?;

    disk::create_private_dir(&layout.private())?;
    disk::create_private_dir(&layout.customer_cas())?;
    let place = Place { region: fixed.region.as_str().into(), account_id: fixed.account_id.as_str().into() };
    let account = Account::open(&layout.account(), place, wanted.clock.clone())?;
    import_files(&account, &layout, &fixed.template_name)?;
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
        own.open(&device_ca, &account)?;
    }
    // The sandbox's own certificates stay as they are.
    let device_ca = device_ca.with_life(wanted.certificate_life, &wanted.clock);
    let server_names = [&["localhost".to_owned()][..], &wanted.endpoint_names].concat();
    let (server_certificate, server_key) = server_ca.issue_server(&server_names, listen)?;
    let (audit, audit_writer) = AuditLog::open(files.audit_log()).map_err(StartError::io("open", files.audit_log()))?;
    if remembered.is_none() {
        remember(&layout, &fixed)?;
    }
    Ok(State {
        lock,
        account,
        template_name: fixed.template_name,
        device_ca,
        server_certificate,
        server_key,
        server_names,
        customer_cas: layout.customer_cas(),
        audit,
        audit_writer,
    })
}

/// The name both the builder and the program give the setting.
const TEMPLATE_SETTING: &str = "`template_name` (`--template` of the program)";

/// Checks the name of a provisioning template (sheet, 1.6).
fn check_template_name(name: &str) -> Result<TemplateName, StartError> {
    name.parse().map_err(|_| StartError::Setting {
        name: TEMPLATE_SETTING,
        found: format!("{name:?}"),
        expected: "1 to 36 characters of 0-9 A-Z a-z _ -".to_owned(),
    })
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
    fn open(&self, device_ca: &Authority, account: &Account) -> Result<(), StartError> {
        let pair = open_pair(self.cert, self.key, |key| device_ca.issue_client(self.common_name, key))?;
        let id = CertificateId::of_der(pair.certificate.der());
        let new = NewCertificate {
            kind: self.kind,
            mode: CertificateMode::Default,
            ..NewCertificate::issued(id.clone(), pair.pem, CertificateStatus::Active)
        };
        let admitted = account.change(|tx| {
            if tx.tables.certificates.contains_key(&id) {
                return Ok(());
            }
            let policy: PolicyName = self.policy.parse()?;
            tx.create_certificate(new)?;
            tx.attach_policy(&policy, &PolicyTarget::Certificate(id))
        });
        admitted.map_err(|cause| StartError::account(cause, StartError::crypto("a registry entry")))
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

fn remember(layout: &Layout, fixed: &Remembered) -> Result<(), StartError> {
    let path = layout.settings();
    let mut text = serde_json::to_vec_pretty(fixed).map_err(|cause| StartError::io("write", &path)(cause.into()))?;
    text.push(b'\n');
    disk::write_atomic(&path, &text, Access::Shared).map_err(StartError::io("write", &path))
}

/// The settings a directory is used with: its own where it has been used before.
fn fixed(wanted: &Wanted, remembered: Option<&Remembered>) -> Result<Remembered, StartError> {
    let setting = |name: &'static str, wanted: Option<&String>, kept: Option<&str>, default: &str| {
        let found = match (wanted, kept) {
            (Some(wanted), Some(kept)) if wanted != kept => {
                return Err(StartError::Setting {
                    name,
                    found: format!("{wanted:?}"),
                    expected: format!("{kept:?}, which this directory was first used with"),
                });
            }
            (_, Some(kept)) => kept,
            (Some(wanted), None) => wanted,
            (None, None) => default,
        };
        Ok(found.to_owned())
    };
    let kept_template = remembered.map(|kept| kept.template_name.as_str());
    let template = setting(TEMPLATE_SETTING, wanted.template_name.as_ref(), kept_template, DEFAULT_TEMPLATE_NAME)?;
    let kept = remembered.map(|kept| kept.region.as_str());
    let region = setting("`region`", wanted.region.as_ref(), kept, DEFAULT_REGION)?;
    let kept = remembered.map(|kept| kept.account_id.as_str());
    let account_id = setting("`account_id`", wanted.account_id.as_ref(), kept, DEFAULT_ACCOUNT)?;
    Ok(Remembered { format: FORMAT, template_name: check_template_name(&template)?, region, account_id })
}

/// Checks the settings that concern the directory, before anything is made.
pub(crate) fn check(wanted: &Wanted) -> Result<(), StartError> {
    if let Some(name) = &wanted.template_name {
        check_template_name(name)?;
    }
    let is_region = |text: &str| {
        (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if let Some(found) = wanted.region.as_deref().filter(|region| !is_region(region)) {
        return Err(StartError::Setting {
            name: "`region`",
            found: format!("{found:?}"),
            expected: "1 to 32 characters of a-z 0-9 -".to_owned(),
        });
    }
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(found) = wanted.account_id.as_deref().filter(|account| !is_account(account)) {
        return Err(StartError::Setting {
            name: "`account_id`",
            found: format!("{found:?}"),
            expected: "12 digits".to_owned(),
        });
    }
    let is_name = |name: &str| {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        name.len() <= 253 && name.split('.').all(label)
    };
    if let Some(found) = wanted.endpoint_names.iter().find(|name| !is_name(name)) {
        return Err(StartError::Setting {
            name: "`endpoint_name`",
            found: format!("{found:?}"),
            expected: "a DNS name such as \"abc-ats.iot.eu-west-1.amazonaws.com\"".to_owned(),
        });
    }
    Ok(())
}
