//! All rows of the account, and the transaction that makes the next state of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use super::{
    AccountError, BillingGroupName, BillingGroupRow, CaRow, CertificateRow, GroupName, GroupRow, Millis, Place,
    PolicyName, PolicyRow, Resource, TemplateName, TemplateRow, ThingName, ThingRow, ThingTypeName, ThingTypeRow,
};
use crate::{CaId, CertificateId};

/// A map whose copies share what they have in common.
pub(crate) type Map<K, V> = RedBlackTreeMapSync<K, Arc<V>>;

/// One state of the account. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) settings: Arc<Settings>,
    pub(crate) certificates: Map<CertificateId, CertificateRow>,
    pub(crate) cas: Map<CaId, CaRow>,
    pub(crate) policies: Map<PolicyName, PolicyRow>,
    pub(crate) things: Map<ThingName, ThingRow>,
    pub(crate) thing_types: Map<ThingTypeName, ThingTypeRow>,
    pub(crate) groups: Map<GroupName, GroupRow>,
    pub(crate) billing_groups: Map<BillingGroupName, BillingGroupRow>,
    pub(crate) templates: Map<TemplateName, TemplateRow>,
    /// Which pending certificate an ownership token is for, by the token's hash.
    pub(super) tokens: RedBlackTreeMapSync<String, CertificateId>,
    /// When pending and short-lived certificates end, soonest first.
    pub(super) endings: RedBlackTreeMapSync<(Millis, CertificateId), ()>,
}

/// What there is one of in an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Made when it is first asked for; lives until deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registration_code: Option<String>,
    /// Hashes of the files of the directory as they were last taken in, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) imported: BTreeMap<String, String>,
}

/// One row put in place or taken away: what the journal holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Change {
    Settings(Settings),
    Certificate(Box<CertificateRow>),
    CertificateGone(CertificateId),
    Ca(Box<CaRow>),
    CaGone(CaId),
    Policy(Box<PolicyRow>),
    PolicyGone(PolicyName),
    Thing(Box<ThingRow>),
    ThingGone(ThingName),
    ThingType(ThingTypeRow),
    ThingTypeGone(ThingTypeName),
    Group(GroupRow),
    GroupGone(GroupName),
    BillingGroup(BillingGroupRow),
    BillingGroupGone(BillingGroupName),
    Template(TemplateRow),
    TemplateGone(TemplateName),
}

impl Tables {
    /// Makes one change. The error is for a row that was written by something else than this program.
    pub(super) fn apply(&mut self, change: Change) -> Result<(), String> {
        match change {
            Change::Settings(row) => self.settings = Arc::new(row),
            Change::Certificate(row) => {
                self.forget_certificate(&row.id.clone());
                if let Some(ownership) = &row.ownership {
                    self.tokens.insert_mut(ownership.token_sha256.clone(), row.id.clone());
                }
                if let Some(end) = row.end() {
                    self.endings.insert_mut((end, row.id.clone()), ());
                }
                self.certificates.insert_mut(row.id.clone(), Arc::new(*row));
            }
            Change::CertificateGone(id) => {
                self.forget_certificate(&id);
                self.certificates.remove_mut(&id);
            }
            Change::Ca(row) => self.cas.insert_mut(row.id.clone(), Arc::new(*row)),
            Change::CaGone(id) => drop(self.cas.remove_mut(&id)),
            Change::Policy(mut row) => {
                row.compile()?;
                self.policies.insert_mut(row.name.clone(), Arc::new(*row));
            }
            Change::PolicyGone(name) => drop(self.policies.remove_mut(&name)),
            Change::Thing(row) => self.things.insert_mut(row.name.clone(), Arc::new(*row)),
            Change::ThingGone(name) => drop(self.things.remove_mut(&name)),
            Change::ThingType(row) => self.thing_types.insert_mut(row.name.clone(), Arc::new(row)),
            Change::ThingTypeGone(name) => drop(self.thing_types.remove_mut(&name)),
            Change::Group(row) => self.groups.insert_mut(row.name.clone(), Arc::new(row)),
            Change::GroupGone(name) => drop(self.groups.remove_mut(&name)),
            Change::BillingGroup(row) => self.billing_groups.insert_mut(row.name.clone(), Arc::new(row)),
            Change::BillingGroupGone(name) => drop(self.billing_groups.remove_mut(&name)),
            Change::Template(row) => self.templates.insert_mut(row.name.clone(), Arc::new(row)),
            Change::TemplateGone(name) => drop(self.templates.remove_mut(&name)),
        }
        Ok(())
    }

    fn forget_certificate(&mut self, id: &CertificateId) {
        let Some(row) = self.certificates.get(id).cloned() else { return };
        if let Some(ownership) = &row.ownership {
            self.tokens.remove_mut(&ownership.token_sha256);
        }
        if let Some(end) = row.end() {
            self.endings.remove_mut(&(end, id.clone()));
        }
    }

    /// The pending certificate the owner of this token has, by the token's hash.
    pub(super) fn by_token(&self, token_sha256: &str) -> Option<&Arc<CertificateRow>> {
        self.tokens.get(token_sha256).and_then(|id| self.certificates.get(id))
    }

    /// Certificates that have ended by `now`.
    pub(super) fn ended(&self, now: Millis) -> Vec<CertificateId> {
        self.endings.keys().take_while(|(end, _)| *end <= now).map(|(_, id)| id.clone()).collect()
    }

    /// Whether any certificate has ended by `now`.
    pub(crate) fn has_ended(&self, now: Millis) -> bool {
        self.endings.keys().next().is_some_and(|(end, _)| *end <= now)
    }

    /// Everything, as transactions that rebuild it.
    pub(super) fn sum(&self) -> Vec<Vec<Change>> {
        let one = |change: Change| vec![change];
        let mut all = vec![one(Change::Settings((*self.settings).clone()))];
        all.extend(self.policies.values().map(|row| one(Change::Policy(Box::new((**row).clone())))));
        all.extend(self.templates.values().map(|row| one(Change::Template((**row).clone()))));
        all.extend(self.thing_types.values().map(|row| one(Change::ThingType((**row).clone()))));
        all.extend(self.groups.values().map(|row| one(Change::Group((**row).clone()))));
        all.extend(self.billing_groups.values().map(|row| one(Change::BillingGroup((**row).clone()))));
        all.extend(self.cas.values().map(|row| one(Change::Ca(Box::new((**row).clone())))));
        all.extend(self.certificates.values().map(|row| one(Change::Certificate(Box::new((**row).clone())))));
        all.extend(self.things.values().map(|row| one(Change::Thing(Box::new((**row).clone())))));
        all
    }
}

#[cfg(feature = "__fuzz")]
impl Tables {
    /// Checks that what a journal holds of this state is read again, and comes to the same.
    pub(crate) fn check_sum(&self) {
        let written = serde_json::to_vec(&self.sum()).expect("rows have a JSON form");
        let read: Vec<Vec<Change>> = serde_json::from_slice(&written).expect("what is written is read again");
        let mut again = Self::default();
        for change in read.into_iter().flatten() {
            again.apply(change).expect("what was in place can be put in place");
        }
        assert_eq!(serde_json::to_vec(&again.sum()).ok(), Some(written), "a restart changes nothing");
    }
}

/// Gives the row of a name, or the error that there is none.
macro_rules! row {
    ($method:ident, $table:ident, $key:ty, $row:ty, $what:expr) => {
        pub(crate) fn $method(&self, name: &$key) -> Result<&Arc<$row>, AccountError> {
            self.$table.get(name).ok_or_else(|| AccountError::not_found($what, name))
        }
    };
}

impl Tables {
    row!(certificate, certificates, CertificateId, CertificateRow, Resource::Certificate);
    row!(ca, cas, CaId, CaRow, Resource::CaCertificate);
    row!(policy, policies, PolicyName, PolicyRow, Resource::Policy);
    row!(thing, things, ThingName, ThingRow, Resource::Thing);
    row!(thing_type, thing_types, ThingTypeName, ThingTypeRow, Resource::ThingType);
    row!(group, groups, GroupName, GroupRow, Resource::ThingGroup);
    row!(billing_group, billing_groups, BillingGroupName, BillingGroupRow, Resource::BillingGroup);
    row!(template, templates, TemplateName, TemplateRow, Resource::Template);
}

/// A transaction: it sees its own changes, and they count when it ends without an error.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    /// The state with the changes so far.
    pub(crate) tables: Tables,
    /// The time it was begun.
    pub(crate) now: Millis,
    /// Region and account, for resource names.
    #[expect(dead_code, reason = "what names a resource so far does so outside of a transaction")]
    pub(crate) place: &'a Place,
    pub(super) changes: Vec<Change>,
}

impl Tx<'_> {
    /// Makes one change.
    pub(crate) fn put(&mut self, change: Change) -> Result<(), AccountError> {
        self.tables.apply(change.clone()).map_err(AccountError::Invalid)?;
        self.changes.push(change);
        Ok(())
    }

    /// The time `life` after now.
    pub(crate) fn in_future(&self, life: Duration) -> Millis {
        self.now.after(life)
    }
}
