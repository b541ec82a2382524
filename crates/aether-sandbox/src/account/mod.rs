//! The account: everything AWS IoT Core's registry knows, in one journal.
//!
//! ```text
//!  control plane ─┐
//!  provisioning  ─┼─▶ Account::change(|tx| …) ─▶ journal (one line a transaction) ─▶ Tables (next snapshot)
//!  trust (JITR)  ─┘          all of it or nothing                                        │
//!  broker, listings ◀────────────────── Account::read() ◀────────────────────────────────┘
//! ```
//!
//! [`Tables`] is a persistent map of maps: a snapshot costs nothing, readers never wait for a writer.
//! Every operation of the registry is a method of [`Tx`], next to the row it is about: one file a kind
//! of resource. What the operations keep to are the rules of AWS's API (reference sheet, 1.4 and 1.6;
//! API Reference, the operation of the same name).

mod access;
mod ca;
mod certificate;
mod error;
mod files;
mod forget;
mod group;
mod name;
mod own_policies;
mod policy;
mod store;
mod tables;
mod tags;
mod template;
#[cfg(test)]
mod tests;
mod thing;
mod thing_type;
mod time;

pub(crate) use access::Effective;
pub(crate) use ca::{CaRow, CaStatus, CertificateMode, NewCa, RegistrationConfig};
pub(crate) use certificate::{CertificateRow, NewCertificate};
pub(crate) use error::{AccountError, Resource};
pub(crate) use files::import_files;
pub(crate) use group::{BillingGroupRow, GroupRow};
pub(crate) use name::{BillingGroupName, GroupName, InvalidName, PolicyName, TemplateName, ThingName, ThingTypeName};
pub(crate) use own_policies::{
    CLAIM_POLICY, DEVICE_POLICY, OBSERVER_POLICY, claim_policy, device_policy, observer_policy,
};
pub(crate) use policy::{ActivePolicy, PolicyRow, PolicyTarget, PolicyVersion};
pub(crate) use store::{Account, Place};
pub(crate) use tables::{Change, Settings, Tables, Tx};
pub(crate) use tags::Tagged;
pub(crate) use template::{Hook, TemplateKind, TemplateRow};
pub(crate) use thing::{NewThing, PrincipalLink, ThingRow};
pub(crate) use thing_type::ThingTypeRow;
pub(crate) use time::Millis;
