//! Claim certificates for trusted users (sheet, 5).

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::service::MadeKey;
use super::{Provisioning, ProvisioningParts};
use crate::CertificateId;
use crate::account::{AccountError, Millis, Place, PolicyName, TemplateName};

/// How long such a claim works (sheet, 5).
const LIFE: Duration = Duration::from_secs(5 * 60);

/// A claim certificate for a trusted user, with its key: the answer to `CreateProvisioningClaim`.
#[derive(Clone)]
#[non_exhaustive]
pub struct ProvisioningClaim {
    /// Id of the certificate. It does not show in listings.
    pub certificate_id: CertificateId,
    /// The certificate.
    pub certificate_pem: String,
    /// Its public key.
    pub public_key_pem: String,
    /// Its private key. A secret.
    pub private_key_pem: String,
    /// When it stops working, five minutes after it was made, by the sandbox's clock.
    pub expiration: SystemTime,
}

impl fmt::Debug for ProvisioningClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningClaim")
            .field("certificate_id", &self.certificate_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

/// Why no claim certificate was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// There is no fleet provisioning template of this name.
    #[error("provisioning template {name:?} does not exist")]
    UnknownTemplate {
        /// The name asked for.
        name: String,
    },
    /// The template is there and disabled.
    #[error("provisioning template {name:?} is disabled")]
    DisabledTemplate {
        /// The name asked for.
        name: String,
    },
    /// The certificate could not be made or kept.
    #[error("could not make a claim certificate")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Provisioning {
    /// Makes a claim certificate that works for five minutes, with this template only. Blocks.
    ///
    /// What such a certificate may do stands in a policy of the account, made at the first claim for
    /// a template: AWS does not show one.
    pub(crate) fn create_claim(&self, template: &str) -> Result<ProvisioningClaim, ClaimError> {
        let parts = self.parts();
        let name = || template.to_owned();
        let row = parts.known_template(template).ok_or_else(|| ClaimError::UnknownTemplate { name: name() })?;
        if !row.enabled {
            return Err(ClaimError::DisabledTemplate { name: name() });
        }
        let made = parts.new_key().map_err(ClaimError::Internal)?;
        let expiration = keep(parts, &row.name, &made).map_err(|cause| ClaimError::Internal(cause.into()))?;
        Ok(ProvisioningClaim {
            certificate_id: made.id,
            certificate_pem: made.pem,
            public_key_pem: made.public_pem,
            private_key_pem: made.private_pem,
            expiration: expiration.into(),
        })
    }
}

fn keep(parts: &ProvisioningParts, template: &TemplateName, made: &MadeKey) -> Result<Millis, AccountError> {
    let policy: PolicyName = format!("aether-provisioning-claim-{template}").parse()?;
    let document = policy_document(parts.account.place(), template);
    parts.account.change(|tx| {
        if !tx.tables.policies.contains_key(&policy) {
            tx.create_policy(policy.clone(), &document, BTreeMap::new())?;
        }
        tx.create_short_claim(made.id.clone(), made.pem.clone(), &policy, LIFE)
    })
}

fn policy_document(place: &Place, template: &TemplateName) -> String {
    let topics = |kind: &str| {
        [
            "$aws/certificates/create/*".to_owned(),
            "$aws/certificates/create-from-csr/*".to_owned(),
            format!("$aws/provisioning-templates/{template}/provision/*"),
        ]
        .map(|topic| place.arn(format_args!("{kind}/{topic}")))
    };
    json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "iot:Connect", "Resource": "*" },
            { "Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": topics("topic") },
            { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": topics("topicfilter") },
        ],
    })
    .to_string()
}
