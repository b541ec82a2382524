//! The policy of a device certificate.

use super::document::{Statement, messages, provisioning_needs};
use super::topics::Provisioning;
use super::{CloudAccount, Encodings, KeyOrigins, Need, PolicyDocument, PolicyTooLong};
use crate::{TemplateName, ThingName};

/// The variable for the Thing a session speaks for. It has a value only if the client id is the Thing's name and the
/// certificate is attached to that Thing (or to it alone).
const THING: &str = "${iot:Connection.Thing.ThingName}";

/// What a device certificate may do: connect as the Thing it is attached to, and publish on the topic of that name.
#[derive(Clone, Debug)]
pub struct DevicePolicy {
    account: CloudAccount,
    rotation: Option<TemplateName>,
    origins: KeyOrigins,
    encodings: Encodings,
}

impl DevicePolicy {
    /// A policy for devices in `account` that publish on the topic named after their Thing.
    #[must_use]
    pub fn new(account: CloudAccount) -> Self {
        Self { account, rotation: None, origins: KeyOrigins::Aws, encodings: Encodings::Json }
    }

    /// Lets the device also ask for its next certificate, over its own session and by `template`.
    ///
    /// Default: it may not. Whoever holds such a device's key may then make certificates by `template`.
    #[must_use]
    pub fn rotation(mut self, template: TemplateName) -> Self {
        self.rotation = Some(template);
        self
    }

    /// Which operations the next certificate is asked for with; counts with [`rotation`](Self::rotation) only.
    /// Default: [`KeyOrigins::Aws`].
    #[must_use]
    pub fn key_origins(mut self, origins: KeyOrigins) -> Self {
        self.origins = origins;
        self
    }

    /// Which encodings are used; counts with [`rotation`](Self::rotation) only. Default: [`Encodings::Json`].
    #[must_use]
    pub fn encodings(mut self, encodings: Encodings) -> Self {
        self.encodings = encodings;
        self
    }

    /// The policy in JSON.
    ///
    /// # Errors
    ///
    /// It is longer than AWS takes, even with wildcards. None of the settings there are today make it so long.
    pub fn document(&self) -> Result<PolicyDocument, PolicyTooLong> {
        let provisioning = self.provisioning();
        PolicyDocument::shortest_needed(|detail| {
            let client_id = self.account.arn(&format!("client/{THING}"));
            let mut statements = vec![Statement::allow("iot:Connect", vec![client_id]).if_attached()];
            statements.extend(messages(&self.account, &[THING], provisioning.as_ref(), detail));
            statements
        })
    }

    /// All that the device which is `thing` does: what a policy, whoever wrote it, has to allow.
    #[must_use]
    pub fn needs(&self, thing: &ThingName) -> Vec<Need> {
        let mut needs = vec![
            Need::new("iot:Connect", self.account.arn(&format!("client/{thing}"))),
            Need::new("iot:Publish", self.account.arn(&format!("topic/{thing}"))),
        ];
        needs.extend(self.provisioning().iter().flat_map(|one| provisioning_needs(&self.account, one)));
        needs
    }

    fn provisioning(&self) -> Option<Provisioning> {
        let template = self.rotation.clone()?;
        Some(Provisioning { template, origins: self.origins, encodings: self.encodings })
    }
}
