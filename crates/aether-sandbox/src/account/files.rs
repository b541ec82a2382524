//! Policies and the template as files of the directory: written at the first start, taken in at every
//! start when somebody has changed them.
//!
//! A changed file becomes a new version and the default one, as if it had been sent to the control
//! plane. A file nobody touched changes nothing, so what the control plane did since then stays.

use std::path::Path;

use super::{
    Account, AccountError, CLAIM_POLICY, Change, DEVICE_POLICY, OBSERVER_POLICY, PolicyName, Settings, TemplateName,
    TemplateRow, Tx, claim_policy, device_policy, observer_policy,
};
use aether_iot_template::{Template, TemplateKind};

use crate::StartError;
use crate::disk;
use crate::files::Layout;
use crate::id::sha256_hex;
use crate::provisioning::default_template;

/// Role the sandbox's own template names. Nothing asks for it: there is no IAM here.
const ROLE_ARN: &str = "arn:aws:iam::123456789012:role/service-role/aether-sandbox-provisioning";

/// Writes the files that are missing and takes in those that were changed. Blocks.
pub(crate) fn import_files(account: &Account, layout: &Layout, template: &TemplateName) -> Result<(), StartError> {
    let folder = layout.policies();
    disk::create_private_dir(&folder)?;
    let place = account.place();
    for (name, document) in [
        (CLAIM_POLICY, claim_policy(place, template.as_str())),
        (DEVICE_POLICY, device_policy(place)),
        (OBSERVER_POLICY, observer_policy()),
    ] {
        disk::write_if_missing(&folder.join(format!("{name}.json")), document.as_bytes())?;
    }
    disk::write_if_missing(&layout.template(), default_template().as_bytes())?;
    for path in disk::files_with_extension(&folder, "json")? {
        import(account, &path, "an IoT policy document", import_policy)?;
    }
    import(account, &layout.template(), "a fleet provisioning template", |tx, _, text| {
        import_template(tx, template, text)
    })
}

/// Takes in one file unless it is as it was when last taken in.
fn import(
    account: &Account,
    path: &Path,
    expected: &'static str,
    take_in: impl FnOnce(&mut Tx<'_>, &Path, &str) -> Result<(), AccountError>,
) -> Result<(), StartError> {
    let text = std::fs::read_to_string(path).map_err(StartError::io("read", path))?;
    let key = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let hash = sha256_hex(text.as_bytes());
    if account.read().settings.imported.get(&key) == Some(&hash) {
        return Ok(());
    }
    let taken_in = account.change(|tx| {
        take_in(tx, path, &text)?;
        let mut settings: Settings = (*tx.tables.settings).clone();
        settings.imported.insert(key, hash);
        tx.put(Change::Settings(settings))
    });
    taken_in.map_err(|cause| StartError::account(cause, StartError::invalid_file(path, expected)))
}

fn import_policy(tx: &mut Tx<'_>, path: &Path, text: &str) -> Result<(), AccountError> {
    let name: PolicyName = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().parse()?;
    let Some(row) = tx.tables.policies.get(&name).cloned() else {
        return tx.create_policy(name, text, std::collections::BTreeMap::new());
    };
    if row.default_document() == text {
        return Ok(());
    }
    let oldest = row.versions.keys().find(|version| **version != row.default_version);
    match (tx.create_policy_version(&name, text, true), oldest) {
        (Err(AccountError::VersionsLimit { .. }), Some(oldest)) => {
            tx.delete_policy_version(&name, *oldest)?;
            tx.create_policy_version(&name, text, true).map(drop)
        }
        (made, _) => made.map(drop),
    }
}

fn import_template(tx: &mut Tx<'_>, name: &TemplateName, text: &str) -> Result<(), AccountError> {
    let template =
        Template::parse(TemplateKind::Fleet, text).map_err(|cause| AccountError::Invalid(cause.to_string()))?;
    let missing = template
        .plain_policy_names()
        .find(|policy| !policy.parse::<PolicyName>().is_ok_and(|policy| tx.tables.policies.contains_key(&policy)));
    if let Some(missing) = missing {
        return Err(AccountError::Invalid(format!(
            "policy {missing:?} does not exist, expected it in the policies folder"
        )));
    }
    let Some(row) = tx.tables.templates.get(name).cloned() else {
        let row = TemplateRow::new(name.clone(), text.to_owned(), ROLE_ARN.to_owned(), tx.now);
        return tx.create_template(row);
    };
    if row.default_body() == text {
        return Ok(());
    }
    let oldest = row.versions.keys().find(|version| **version != row.default_version);
    match (tx.create_template_version(name, text.to_owned(), true), oldest) {
        (Err(AccountError::VersionsLimit { .. }), Some(oldest)) => {
            tx.delete_template_version(name, *oldest)?;
            tx.create_template_version(name, text.to_owned(), true).map(drop)
        }
        (made, _) => made.map(drop),
    }
}
