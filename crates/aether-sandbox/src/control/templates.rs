//! Provisioning templates and their versions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Tag, tags};
use super::error::ApiError;
use super::paging::{Style, page};
use super::route::{Route, route};
use crate::account::{AccountError, Hook, Millis, TemplateKind, TemplateName, TemplateRow};
use aether_iot_template::{Template, TemplateKind as Reading};

pub(super) const ROUTES: &[Route] = &[
    route("CreateProvisioningTemplate", "POST", "/provisioning-templates", create),
    route("DescribeProvisioningTemplate", "GET", "/provisioning-templates/{templateName}", describe),
    route("UpdateProvisioningTemplate", "PATCH", "/provisioning-templates/{templateName}", update),
    route("DeleteProvisioningTemplate", "DELETE", "/provisioning-templates/{templateName}", delete),
    route("ListProvisioningTemplates", "GET", "/provisioning-templates", list),
    route(
        "CreateProvisioningTemplateVersion",
        "POST",
        "/provisioning-templates/{templateName}/versions",
        create_version,
    ),
    route(
        "DescribeProvisioningTemplateVersion",
        "GET",
        "/provisioning-templates/{templateName}/versions/{versionId}",
        describe_version,
    ),
    route("ListProvisioningTemplateVersions", "GET", "/provisioning-templates/{templateName}/versions", list_versions),
    route(
        "DeleteProvisioningTemplateVersion",
        "DELETE",
        "/provisioning-templates/{templateName}/versions/{versionId}",
        delete_version,
    ),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HookOf {
    payload_version: Option<String>,
    target_arn: String,
}

impl From<HookOf> for Hook {
    fn from(given: HookOf) -> Self {
        Self { payload_version: given.payload_version, target: given.target_arn }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewTemplate {
    template_name: TemplateName,
    description: Option<String>,
    template_body: String,
    #[serde(default)]
    enabled: bool,
    provisioning_role_arn: String,
    pre_provisioning_hook: Option<HookOf>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "type", default)]
    kind: TemplateKind,
}

/// Checks a template's body as `kind` reads it.
fn check_body(kind: TemplateKind, body: &str) -> Result<(), AccountError> {
    let reading = match kind {
        TemplateKind::Fleet => Reading::Fleet,
        TemplateKind::Jitp => Reading::Jitp,
    };
    Template::parse(reading, body).map(drop).map_err(|cause| AccountError::Invalid(format!("templateBody: {cause}")))
}

/// Nobody assumes the role here, but AWS refuses what is none.
fn check_role(arn: &str) -> Result<(), ApiError> {
    match arn.starts_with("arn:") && arn.contains(":role/") && (20..=2048).contains(&arn.len()) {
        true => Ok(()),
        false => Err(ApiError::invalid(format_args!(
            "provisioningRoleArn is {arn:?}, expected the ARN of a role, such as arn:aws:iam::123456789012:role/name"
        ))),
    }
}

fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: NewTemplate = call.body()?;
    check_role(&wanted.provisioning_role_arn)?;
    if wanted.kind == TemplateKind::Jitp && wanted.pre_provisioning_hook.is_some() {
        return Err(ApiError::invalid("preProvisioningHook is given, expected none for a template of type JITP"));
    }
    let name = wanted.template_name.clone();
    call.change(|tx| {
        check_body(wanted.kind, &wanted.template_body)?;
        let row = TemplateRow::new(wanted.template_name, wanted.template_body, wanted.provisioning_role_arn, tx.now);
        tx.create_template(TemplateRow {
            kind: wanted.kind,
            description: wanted.description,
            enabled: wanted.enabled,
            hook: wanted.pre_provisioning_hook.map(Hook::from),
            tags: tags(wanted.tags),
            ..row
        })
    })?;
    Ok(json!({
        "templateArn": call.arn("provisioningtemplate", &name),
        "templateName": name.as_str(),
        "defaultVersionId": 1,
    }))
}

/// What describing and listing have in common.
fn entry(call: &Call<'_>, row: &TemplateRow) -> Value {
    let mut entry = json!({
        "templateArn": call.arn("provisioningtemplate", &row.name),
        "templateName": row.name.as_str(),
        "creationDate": row.created.as_seconds(),
        "lastModifiedDate": row.modified.as_seconds(),
        "enabled": row.enabled,
        "type": row.kind.as_str(),
    });
    if let Some(description) = &row.description {
        entry["description"] = json!(description);
    }
    entry
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.template(&call.path("templateName")?)?;
    let mut found = entry(call, row);
    found["defaultVersionId"] = json!(row.default_version);
    found["templateBody"] = json!(row.default_body());
    found["provisioningRoleArn"] = json!(row.role_arn);
    if let Some(hook) = &row.hook {
        found["preProvisioningHook"] = json!({ "targetArn": hook.target });
        if let Some(version) = &hook.payload_version {
            found["preProvisioningHook"]["payloadVersion"] = json!(version);
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    description: Option<String>,
    enabled: Option<bool>,
    default_version_id: Option<u32>,
    provisioning_role_arn: Option<String>,
    pre_provisioning_hook: Option<HookOf>,
    #[serde(default)]
    remove_pre_provisioning_hook: bool,
}

fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.path("templateName")?;
    let wanted: Changes = call.body()?;
    if let Some(arn) = &wanted.provisioning_role_arn {
        check_role(arn)?;
    }
    if wanted.remove_pre_provisioning_hook && wanted.pre_provisioning_hook.is_some() {
        return Err(ApiError::invalid("preProvisioningHook and removePreProvisioningHook exclude each other"));
    }
    call.change(|tx| {
        tx.edit_template(&name, |row| {
            if let Some(id) = wanted.default_version_id {
                row.version(id)?;
                row.default_version = id;
            }
            row.enabled = wanted.enabled.unwrap_or(row.enabled);
            row.description = wanted.description.or(row.description.take());
            row.role_arn = wanted.provisioning_role_arn.unwrap_or_else(|| row.role_arn.clone());
            match wanted.pre_provisioning_hook {
                Some(_) if row.kind == TemplateKind::Jitp => {
                    return Err(AccountError::Invalid("a template of type JITP has no preProvisioningHook".to_owned()));
                }
                Some(hook) => row.hook = Some(hook.into()),
                None if wanted.remove_pre_provisioning_hook => row.hook = None,
                None => {}
            }
            Ok(())
        })
    })?;
    Ok(json!({}))
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.path("templateName")?;
    call.change(|tx| tx.delete_template(&name))?;
    Ok(json!({}))
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let entries = tables.templates.values().map(|row| (row.name.to_string(), entry(call, row)));
    page(call, Style::Token, "templates", entries.collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewVersion {
    template_body: String,
}

fn create_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: TemplateName = call.path("templateName")?;
    let NewVersion { template_body } = call.body()?;
    let set_default = call.flag("setAsDefault")?;
    let id = call.change(|tx| {
        check_body(tx.tables.template(&name)?.kind, &template_body)?;
        tx.create_template_version(&name, template_body, set_default)
    })?;
    Ok(json!({
        "templateArn": call.arn("provisioningtemplate", &name),
        "templateName": name.as_str(),
        "versionId": id,
        "isDefaultVersion": set_default,
    }))
}

/// A version in a list.
fn version_entry(id: u32, created: Millis, is_default: bool) -> Value {
    json!({ "versionId": id, "creationDate": created.as_seconds(), "isDefaultVersion": is_default })
}

fn describe_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.template(&call.path("templateName")?)?;
    let id: u32 = call.path("versionId")?;
    let version = row.version(id)?;
    let mut found = version_entry(id, version.created, id == row.default_version);
    found["templateBody"] = json!(version.body);
    Ok(found)
}

fn list_versions(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.template(&call.path("templateName")?)?;
    let entries = row
        .versions
        .iter()
        .map(|(id, version)| (format!("{id:010}"), version_entry(*id, version.created, *id == row.default_version)));
    page(call, Style::Token, "versions", entries.collect())
}

fn delete_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, id) = (call.path("templateName")?, call.path("versionId")?);
    call.change(|tx| tx.delete_template_version(&name, id))?;
    Ok(json!({}))
}
