//! Just-in-time provisioning: a CA's template carried out for a certificate it signed (reference sheet,
//! 2.8 and 5).

use std::error::Error;

use aether_iot_template::{CertificateSource, Parameters, PlannedStatus, ResolveError, Template, TemplateError};

use super::Trust;
use crate::account::{AccountError, RegistrationConfig, Tables, TemplateKind, TemplateName, ThingName};
use crate::pki::{Certificate, CertificateFacts, X509Error};
use crate::provisioning::establish;
use crate::{CertificateId, CertificateStatus};

/// Why a certificate was not provisioned. It stays pending, and the next sight of it tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum JitpError {
    #[error("CA certificate names no template")]
    NoTemplate,
    #[error("template {0} is not enabled")]
    Disabled(TemplateName),
    #[error("type of template {0} is FLEET_PROVISIONING, expected JITP")]
    Fleet(TemplateName),
    #[error("template cannot be read")]
    Template(#[source] TemplateError),
    #[error("template cannot be filled in")]
    Resolve(#[source] ResolveError),
    #[error("template asks for another certificate than the one shown")]
    OtherCertificate,
    #[error("certificate cannot be read")]
    Certificate(#[source] X509Error),
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl JitpError {
    /// The error with its causes, on one line.
    pub(super) fn in_words(&self) -> String {
        let (mut words, mut cause) = (self.to_string(), self.source());
        while let Some(found) = cause {
            words = format!("{words}: {found}");
            cause = found.source();
        }
        words
    }
}

impl Trust {
    /// Carries out the template of a CA for a pending certificate: Thing, policies, attachments, and
    /// last the status. All of it or nothing. Blocks.
    pub(super) fn provision(
        &self,
        id: &CertificateId,
        config: &RegistrationConfig,
    ) -> Result<Option<ThingName>, JitpError> {
        let tables = self.account.read();
        let body = body(&tables, config)?;
        let template = Template::parse(aether_iot_template::TemplateKind::Jitp, body).map_err(JitpError::Template)?;
        let pem = &tables.certificate(id)?.pem;
        let facts = Certificate::parse_pem(pem.as_bytes()).and_then(|found| CertificateFacts::parse(found.der()));
        let mut parameters = Parameters::new();
        parameters.set_certificate_id(id.as_str());
        facts.map_err(JitpError::Certificate)?.set_subject(&mut parameters);
        let plan = template.resolve(&parameters).map_err(JitpError::Resolve)?;
        if !matches!(&plan.certificate.source, CertificateSource::Id(named) if named == id.as_str()) {
            return Err(JitpError::OtherCertificate);
        }
        let status = match plan.certificate.status {
            PlannedStatus::Active => CertificateStatus::Active,
            PlannedStatus::Inactive => CertificateStatus::Inactive,
        };
        let made = self.account.change(|tx| {
            // Another connection may have been quicker.
            if tx.tables.certificate(id)?.status != CertificateStatus::PendingActivation {
                return Ok(None);
            }
            let thing = establish(tx, id, &plan)?;
            tx.set_status(id, status)?;
            Ok(thing)
        });
        Ok(made?)
    }
}

fn body<'a>(tables: &'a Tables, config: &'a RegistrationConfig) -> Result<&'a str, JitpError> {
    if let Some(body) = &config.template_body {
        return Ok(body);
    }
    let name = config.template_name.as_ref().ok_or(JitpError::NoTemplate)?;
    let row = tables.template(name)?;
    match (row.enabled, row.kind) {
        (false, _) => Err(JitpError::Disabled(name.clone())),
        (true, TemplateKind::Fleet) => Err(JitpError::Fleet(name.clone())),
        (true, TemplateKind::Jitp) => Ok(row.default_body()),
    }
}
