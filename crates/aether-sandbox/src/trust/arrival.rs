//! What becomes of a certificate its CA vouches for, when it is first shown and while it is pending:
//! just-in-time registration, or provisioning by the CA's template (reference sheet, 5).

use serde_json::json;

use super::Trust;
use crate::account::{
    AccountError, CLAIM_POLICY, CaRow, CaStatus, CertificateRow, Millis, NewCertificate, PolicyTarget, ThingName, Tx,
};
use crate::pki::to_pem;
use crate::{CaId, CertificateId, CertificateKind, CertificateStatus};

/// A certificate to be registered or announced.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) certificate: CertificateId,
    pub(crate) ca: CaId,
    /// Present at the first sight.
    new: Option<NewCertificate>,
}

/// What has become of an [`Arrival`].
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Whether it was registered now.
    pub(crate) new: bool,
    pub(crate) outcome: Outcome,
}

/// What is to be done about it, or was done.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Nothing: it is active or has been taken away, or its CA has.
    Settled,
    /// An event says that it is pending.
    Announce { topic: String, payload: String },
    /// The CA's template was carried out.
    Provisioned { thing: Option<ThingName> },
    /// The CA's template could not be carried out, for this reason.
    NotProvisioned(String),
}

impl Arrival {
    pub(super) fn first(certificate: CertificateId, der: &[u8], ca: &CaRow) -> Self {
        let (kind, status) = match ca.signs_claims {
            true => (CertificateKind::Claim, CertificateStatus::Active),
            false => (CertificateKind::Device, CertificateStatus::PendingActivation),
        };
        let new = NewCertificate {
            kind,
            mode: ca.mode,
            ca: Some(ca.id.clone()),
            ..NewCertificate::issued(certificate.clone(), to_pem(der), status)
        };
        Self { certificate, ca: ca.id.clone(), new: Some(new) }
    }

    pub(super) fn again(certificate: CertificateId, ca: CaId) -> Self {
        Self { certificate, ca, new: None }
    }
}

impl Trust {
    /// Registers what is new, provisions what its CA has a template for, and tells what is to be
    /// announced. Blocks.
    ///
    /// Asked again by a transaction whether the CA still vouches for it, and whether another
    /// connection has been quicker.
    pub(crate) fn arrive(&self, arrival: Arrival) -> Result<Arrived, AccountError> {
        let Arrival { certificate, ca, new } = arrival;
        let new = match new {
            Some(new) => self.account.change(|tx| register(tx, &ca, new))?,
            None => false,
        };
        let tables = self.account.read();
        let row = tables.certificate(&certificate)?;
        if row.status != CertificateStatus::PendingActivation {
            return Ok(Arrived { new, outcome: Outcome::Settled });
        }
        // A CA that was deleted or deactivated vouches for nothing any more.
        let Some(vouching) = tables.cas.get(&ca).filter(|ca| registers(ca)) else {
            return Ok(Arrived { new, outcome: Outcome::Settled });
        };
        let outcome = match &vouching.registration {
            Some(config) => match self.provision(&certificate, config) {
                Ok(thing) => Outcome::Provisioned { thing },
                Err(cause) => Outcome::NotProvisioned(cause.in_words()),
            },
            None => Outcome::Announce {
                topic: format!("$aws/events/certificates/registered/{ca}"),
                payload: self.event(row, &ca),
            },
        };
        Ok(Arrived { new, outcome })
    }

    /// The event of the blog on just-in-time registration and the sheet, section 5.
    fn event(&self, row: &CertificateRow, ca: &CaId) -> String {
        let event = json!({
            "certificateId": row.id.as_str(),
            "caCertificateId": ca.as_str(),
            "timestamp": Millis::from(self.account.clock().now()).as_u64(),
            "certificateStatus": row.status.as_str(),
            "awsAccountId": &*self.account.place().account_id,
            // A text, whose form AWS does not give; here that of the timestamp.
            "certificateRegistrationTimestamp": row.created.as_u64().to_string(),
        });
        event.to_string()
    }
}

/// Whether a CA registers by itself what it signed.
fn registers(ca: &CaRow) -> bool {
    ca.status == CaStatus::Active && (ca.auto_registration || ca.signs_claims)
}

/// Registers a certificate unless it is known by now; gives whether it was registered.
fn register(tx: &mut Tx<'_>, ca: &CaId, new: NewCertificate) -> Result<bool, AccountError> {
    if tx.tables.certificates.contains_key(&new.id) {
        return Ok(false);
    }
    let row = tx.tables.ca(ca)?;
    if !registers(row) {
        return Err(AccountError::CertificateState(format!("CA certificate {ca} registers no certificates any more")));
    }
    let (id, kind) = (new.id.clone(), new.kind);
    tx.create_certificate(new)?;
    match kind {
        CertificateKind::Claim => tx.attach_policy(&CLAIM_POLICY.parse()?, &PolicyTarget::Certificate(id))?,
        CertificateKind::Device | CertificateKind::Observer => {}
    }
    Ok(true)
}
