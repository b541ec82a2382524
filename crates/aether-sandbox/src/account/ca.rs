//! Registered CA certificates (reference sheet, 5; API Reference, RegisterCACertificate).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AccountError, Change, Millis, Resource, Settings, TemplateName, Tx};
use crate::{CaId, random};

/// Most CAs with one subject in an account and Region (sheet, 5).
const MAX_SAME_SUBJECT: usize = 10;

/// State of a registered CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CaStatus {
    /// Certificates it signed may be registered.
    Active,
    /// None may; those registered already are not concerned.
    Inactive,
}

impl CaStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// How a CA, or a certificate, was registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CertificateMode {
    /// The possession of the CA key was proven, for this account alone.
    #[default]
    Default,
    /// Nothing was proven; devices must send SNI.
    SniOnly,
}

impl CertificateMode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::SniOnly => "SNI_ONLY",
        }
    }
}

/// What a CA does with the certificates it signed: just-in-time provisioning (sheet, 2.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrationConfig {
    /// The template's body, given with the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) template_body: Option<String>,
    /// The template, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) template_name: Option<TemplateName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role_arn: Option<String>,
}

/// A registered CA.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaRow {
    pub(crate) id: CaId,
    pub(crate) pem: String,
    /// Subject, for people to read; CAs with one subject are bounded in number.
    pub(crate) subject: String,
    pub(crate) status: CaStatus,
    pub(crate) mode: CertificateMode,
    /// Whether an unknown certificate it signed is registered when it is first shown.
    pub(crate) auto_registration: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registration: Option<RegistrationConfig>,
    /// Whether what it signed counts as a claim certificate at once: a convenience of the sandbox
    /// alone, for `aether sandbox register-ca`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) signs_claims: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created: Millis,
    pub(crate) modified: Millis,
    pub(crate) version: u32,
}

/// What a new CA is to be. Its certificate has been checked by the caller.
#[derive(Clone, Debug)]
pub(crate) struct NewCa {
    pub(crate) id: CaId,
    pub(crate) pem: String,
    pub(crate) subject: String,
    pub(crate) status: CaStatus,
    pub(crate) mode: CertificateMode,
    pub(crate) auto_registration: bool,
    pub(crate) registration: Option<RegistrationConfig>,
    pub(crate) signs_claims: bool,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Tx<'_> {
    /// The registration code, made when it is first asked for.
    pub(crate) fn registration_code(&mut self) -> Result<String, AccountError> {
        if let Some(code) = &self.tables.settings.registration_code {
            return Ok(code.clone());
        }
        let no_bytes = |source| AccountError::Io { path: "the system's random numbers".into(), source };
        let code = random::hex_text::<32>().map_err(no_bytes)?;
        let settings = Settings { registration_code: Some(code.clone()), ..(*self.tables.settings).clone() };
        self.put(Change::Settings(settings))?;
        Ok(code)
    }

    /// Deletes the registration code; the next question makes another.
    pub(crate) fn delete_registration_code(&mut self) -> Result<(), AccountError> {
        if self.tables.settings.registration_code.is_none() {
            return Err(AccountError::not_found(Resource::RegistrationCode, "of this account"));
        }
        let settings = Settings { registration_code: None, ..(*self.tables.settings).clone() };
        self.put(Change::Settings(settings))
    }

    /// Registers a CA.
    pub(crate) fn register_ca(&mut self, new: NewCa) -> Result<(), AccountError> {
        if self.tables.cas.contains_key(&new.id) {
            return Err(AccountError::already_exists(Resource::CaCertificate, &new.id));
        }
        let alike = self.tables.cas.values().filter(|ca| ca.subject == new.subject).count();
        if alike >= MAX_SAME_SUBJECT {
            let words = format!("{alike} CA certificates with the subject {:?} are registered", new.subject);
            return Err(AccountError::LimitExceeded(words));
        }
        self.check_registration(new.registration.as_ref())?;
        self.put(Change::Ca(Box::new(CaRow {
            id: new.id,
            pem: new.pem,
            subject: new.subject,
            status: new.status,
            mode: new.mode,
            auto_registration: new.auto_registration,
            registration: new.registration,
            signs_claims: new.signs_claims,
            tags: new.tags,
            created: self.now,
            modified: self.now,
            version: 1,
        })))
    }

    fn check_registration(&self, registration: Option<&RegistrationConfig>) -> Result<(), AccountError> {
        match registration.and_then(|registration| registration.template_name.as_ref()) {
            Some(name) => self.tables.template(name).map(drop),
            None => Ok(()),
        }
    }

    /// Changes what is given of a CA.
    pub(crate) fn update_ca(
        &mut self,
        id: &CaId,
        status: Option<CaStatus>,
        auto_registration: Option<bool>,
        registration: Option<Option<RegistrationConfig>>,
    ) -> Result<(), AccountError> {
        let mut row = (**self.tables.ca(id)?).clone();
        self.check_registration(registration.as_ref().and_then(Option::as_ref))?;
        row.status = status.unwrap_or(row.status);
        row.auto_registration = auto_registration.unwrap_or(row.auto_registration);
        if let Some(registration) = registration {
            row.registration = registration;
        }
        row.modified = self.now;
        row.version = row.version.saturating_add(1);
        self.put(Change::Ca(Box::new(row)))
    }

    /// Deletes a CA that is not active. The certificates it signed stay as they are.
    pub(crate) fn delete_ca(&mut self, id: &CaId) -> Result<(), AccountError> {
        let row = Arc::clone(self.tables.ca(id)?);
        match row.status {
            CaStatus::Inactive => self.put(Change::CaGone(id.clone())),
            CaStatus::Active => {
                let words = format!("CA certificate {id} is ACTIVE; deactivate it before deleting it");
                Err(AccountError::CertificateState(words))
            }
        }
    }
}
