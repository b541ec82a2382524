//! A way in for the benchmarks; no part of the interface.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::access::{Access, Action, Origin};
use crate::account::{
    Account, AccountError, GroupName, NewCertificate, NewThing, Place, PolicyName, PolicyTarget, ThingName,
};
use crate::clock::Clock;
use crate::{CertificateId, CertificateStatus, StartError};

/// One connection's rights in an account of many Things.
#[derive(Debug)]
pub struct Decider {
    account: Arc<Account>,
    access: Access,
}

impl Decider {
    /// An account in `dir` with `things` Things, each with its certificate; the connection is that of
    /// `thing-0`, whose policy comes from its group.
    ///
    /// # Errors
    ///
    /// The directory cannot be written to.
    pub fn new(dir: &Path, things: u32) -> Result<Self, StartError> {
        let place = Place { region: "eu-west-1".into(), account_id: "123456789012".into() };
        let account = Account::open(&dir.join("account.jsonl"), place, Clock::default())?;
        account
            .change(|tx| fill(tx, things))
            .map_err(|cause| StartError::account(cause, StartError::crypto("Things")))?;
        let account = Arc::new(account);
        let origin = Origin { client_id: "thing-0".to_owned(), ..Origin::default() };
        let access = Access::new(Arc::clone(&account), certificate(0), &Default::default(), origin);
        Ok(Self { account, access })
    }

    /// Whether the connection may publish to `topic`.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        self.access.decide(Action::Publish, topic).allowed
    }

    /// Changes something in the account that has nothing to do with the connection, so that its next
    /// decision works everything out again.
    pub fn disturb(&self) {
        let name = "thing-1".parse::<ThingName>();
        // The journal of a benchmark that has run out of room shows in the next decision's cost only.
        let _ = self.account.change(|tx| tx.set_groups(&name?, Vec::new()));
    }
}

fn certificate(number: u32) -> CertificateId {
    CertificateId::of_der(&number.to_be_bytes())
}

fn fill(tx: &mut crate::account::Tx<'_>, things: u32) -> Result<(), AccountError> {
    let (policy, group): (PolicyName, GroupName) = ("own-topic".parse()?, "presses".parse()?);
    let document = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish",
        "Resource":"arn:aws:iot:eu-west-1:123456789012:topic/${iot:Connection.Thing.ThingName}"}}"#;
    tx.create_policy(policy.clone(), document, BTreeMap::new())?;
    tx.create_group(group.clone(), None, None, BTreeMap::new())?;
    tx.attach_policy(&policy, &PolicyTarget::Group(group.clone()))?;
    for number in 0..things {
        let name: ThingName = format!("thing-{number}").parse()?;
        let new = NewThing { name: name.clone(), attributes: BTreeMap::new(), thing_type: None, billing_group: None };
        tx.create_thing(new)?;
        let new = NewCertificate::issued(certificate(number), String::new(), CertificateStatus::Active);
        tx.create_certificate(new)?;
        tx.attach_principal(&name, &certificate(number), false)?;
        tx.set_groups(&name, vec![group.clone()])?;
    }
    Ok(())
}
