//! The account as a whole: random transactions, kills, tokens by the clock, what may be deleted when.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::{
    Account, AccountError, GroupName, NewCertificate, NewThing, Place, PolicyName, PolicyTarget, Tables, ThingName, Tx,
};
use crate::clock::Clock;
use crate::{CertificateId, CertificateStatus};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}}"#;

struct Fixture {
    dir: tempfile::TempDir,
    clock: Clock,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Clock::default() }
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("account.jsonl")
    }

    fn open(&self) -> Account {
        let place = Place { region: "eu-west-1".into(), account_id: "123456789012".into() };
        Account::open(&self.journal(), place, self.clock.clone()).unwrap()
    }
}

/// Everything in the tables, indexes included, in the order of the names.
fn shown(tables: &Tables) -> String {
    let mut lines = vec![format!("{:?}", tables.settings)];
    lines.extend(tables.certificates.values().map(|row| format!("{row:?}")));
    lines.extend(tables.policies.values().map(|row| format!("{row:?}")));
    lines.extend(tables.things.values().map(|row| format!("{row:?}")));
    lines.extend(tables.groups.values().map(|row| format!("{row:?}")));
    lines.extend(tables.tokens.iter().map(|token| format!("{token:?}")));
    lines.extend(tables.endings.keys().map(|ending| format!("{ending:?}")));
    lines.join("\n")
}

fn certificate(number: u8) -> CertificateId {
    CertificateId::of_der(&[number])
}

fn policy(number: u8) -> PolicyName {
    format!("policy-{number}").parse().unwrap()
}

fn thing(number: u8) -> ThingName {
    format!("thing-{number}").parse().unwrap()
}

fn group(number: u8) -> GroupName {
    format!("group-{number}").parse().unwrap()
}

fn token(number: u8) -> String {
    format!("token-{number}")
}

fn new_thing(number: u8) -> NewThing {
    NewThing { name: thing(number), attributes: BTreeMap::new(), thing_type: None, billing_group: None }
}

/// One operation of the control plane or of provisioning, on a few names.
#[derive(Clone, Debug)]
enum Operation {
    Register(u8),
    Pending(u8),
    Redeem(u8),
    SetStatus(u8, CertificateStatus),
    DeleteCertificate(u8, bool),
    CreatePolicy(u8),
    CreateVersion(u8, bool),
    SetDefault(u8, u32),
    DeleteVersion(u8, u32),
    DeletePolicy(u8),
    Attach(u8, u8),
    Detach(u8, u8),
    AttachToGroup(u8, u8),
    DetachFromGroup(u8, u8),
    CreateThing(u8),
    AttachThing(u8, u8, bool),
    DetachThing(u8, u8),
    DeleteThing(u8),
    CreateGroup(u8, Option<u8>),
    SetGroups(u8, Vec<u8>),
    DeleteGroup(u8),
    RegistrationCode,
    ForgetCode,
    /// Minutes.
    Advance(u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let name = 0..4_u8;
    let status = prop::sample::select(vec![
        CertificateStatus::Active,
        CertificateStatus::Inactive,
        CertificateStatus::Revoked,
        CertificateStatus::PendingActivation,
    ]);
    prop_oneof![
        name.clone().prop_map(Register),
        name.clone().prop_map(Pending),
        name.clone().prop_map(Redeem),
        (name.clone(), status).prop_map(|(certificate, status)| SetStatus(certificate, status)),
        (name.clone(), any::<bool>()).prop_map(|(certificate, force)| DeleteCertificate(certificate, force)),
        name.clone().prop_map(CreatePolicy),
        (name.clone(), any::<bool>()).prop_map(|(policy, default)| CreateVersion(policy, default)),
        (name.clone(), 1..4_u32).prop_map(|(policy, version)| SetDefault(policy, version)),
        (name.clone(), 1..4_u32).prop_map(|(policy, version)| DeleteVersion(policy, version)),
        name.clone().prop_map(DeletePolicy),
        (name.clone(), name.clone()).prop_map(|(policy, certificate)| Attach(policy, certificate)),
        (name.clone(), name.clone()).prop_map(|(policy, certificate)| Detach(policy, certificate)),
        (name.clone(), name.clone()).prop_map(|(policy, group)| AttachToGroup(policy, group)),
        (name.clone(), name.clone()).prop_map(|(policy, group)| DetachFromGroup(policy, group)),
        name.clone().prop_map(CreateThing),
        (name.clone(), name.clone(), any::<bool>()).prop_map(|(thing, certificate, exclusive)| AttachThing(
            thing,
            certificate,
            exclusive
        )),
        (name.clone(), name.clone()).prop_map(|(thing, certificate)| DetachThing(thing, certificate)),
        name.clone().prop_map(DeleteThing),
        (name.clone(), prop::option::of(name.clone())).prop_map(|(group, parent)| CreateGroup(group, parent)),
        (name.clone(), prop::collection::vec(name.clone(), 0..3)).prop_map(|(thing, groups)| SetGroups(thing, groups)),
        name.prop_map(DeleteGroup),
        Just(RegistrationCode),
        Just(ForgetCode),
        (1..40_u8).prop_map(Advance),
    ]
}

fn carry_out(tx: &mut Tx<'_>, operation: &Operation) -> Result<(), AccountError> {
    use Operation::*;
    match operation {
        Register(number) => tx.create_certificate(NewCertificate::issued(
            certificate(*number),
            String::new(),
            CertificateStatus::Active,
        )),
        Pending(number) => tx.create_pending(certificate(*number), String::new(), &token(*number)),
        Redeem(number) => tx.redeem(&token(*number), CertificateStatus::Active).map(drop),
        SetStatus(number, status) => tx.set_status(&certificate(*number), *status),
        DeleteCertificate(number, force) => tx.delete_certificate(&certificate(*number), *force),
        CreatePolicy(number) => tx.create_policy(policy(*number), POLICY, BTreeMap::new()),
        CreateVersion(number, default) => tx.create_policy_version(&policy(*number), POLICY, *default).map(drop),
        SetDefault(number, version) => tx.set_default_policy_version(&policy(*number), *version),
        DeleteVersion(number, version) => tx.delete_policy_version(&policy(*number), *version),
        DeletePolicy(number) => tx.delete_policy(&policy(*number)),
        Attach(number, to) => tx.attach_policy(&policy(*number), &PolicyTarget::Certificate(certificate(*to))),
        Detach(number, from) => tx.detach_policy(&policy(*number), &PolicyTarget::Certificate(certificate(*from))),
        AttachToGroup(number, to) => tx.attach_policy(&policy(*number), &PolicyTarget::Group(group(*to))),
        DetachFromGroup(number, from) => tx.detach_policy(&policy(*number), &PolicyTarget::Group(group(*from))),
        CreateThing(number) => tx.create_thing(new_thing(*number)),
        AttachThing(number, to, exclusive) => tx.attach_principal(&thing(*number), &certificate(*to), *exclusive),
        DetachThing(number, from) => tx.detach_principal(&thing(*number), &certificate(*from)),
        DeleteThing(number) => tx.delete_thing(&thing(*number), None),
        CreateGroup(number, parent) => tx.create_group(group(*number), parent.map(group), None, BTreeMap::new()),
        SetGroups(number, groups) => tx.set_groups(&thing(*number), groups.iter().copied().map(group).collect()),
        DeleteGroup(number) => tx.delete_group(&group(*number), None),
        RegistrationCode => tx.registration_code().map(drop),
        ForgetCode => tx.delete_registration_code(),
        Advance(_) => Ok(()),
    }
}

/// What holds in every state: nothing points at what is not there, and both ends of a link agree.
fn check_links(tables: &Tables) -> Result<(), TestCaseError> {
    for row in tables.certificates.values() {
        prop_assert!(row.policies.iter().all(|name| tables.policies.contains_key(name)), "{row:?}");
        prop_assert!(row.policies.len() <= 10, "{row:?}");
        for name in &row.things {
            let links = tables.things.get(name).map(|thing| thing.principals.as_slice()).unwrap_or_default();
            prop_assert_eq!(links.iter().filter(|link| link.certificate == row.id).count(), 1);
        }
    }
    for row in tables.things.values() {
        for link in &row.principals {
            let certificate = tables.certificates.get(&link.certificate);
            prop_assert!(certificate.is_some_and(|certificate| certificate.things.contains(&row.name)), "{row:?}");
            let things = certificate.map_or(0, |certificate| certificate.things.len());
            prop_assert!(!link.exclusive || things == 1, "an exclusive certificate has one Thing: {row:?}");
        }
        prop_assert!(row.groups.iter().all(|name| tables.groups.contains_key(name)), "{row:?}");
    }
    for row in tables.groups.values() {
        prop_assert!(row.parent.iter().all(|name| tables.groups.contains_key(name)), "{row:?}");
        prop_assert!(row.policies.iter().all(|name| tables.policies.contains_key(name)), "{row:?}");
    }
    for row in tables.policies.values() {
        prop_assert!(row.versions.contains_key(&row.default_version) && row.versions.len() <= 5, "{row:?}");
        prop_assert_eq!(row.active().map(|active| active.version()), Some(row.default_version));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Transactions of several operations, each all or nothing; the journal says the same as memory,
    /// and a torn one says what was true at some earlier moment.
    #[test]
    fn random_transactions_survive_a_restart_and_a_torn_journal_gives_an_earlier_state(
        transactions in prop::collection::vec(prop::collection::vec(operation(), 1..4), 1..30),
        cut in any::<prop::sample::Index>(),
    ) {
        let fixture = Fixture::new();
        let account = fixture.open();
        let header = std::fs::read(fixture.journal()).unwrap().iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let mut states = vec![shown(&account.read())];
        for transaction in &transactions {
            for operation in transaction {
                if let Operation::Advance(minutes) = operation {
                    fixture.clock.advance(Duration::from_secs(u64::from(*minutes) * 60));
                }
            }
            // Certificates that have ended go first, whatever comes of the transaction.
            account.change(|_| Ok(())).unwrap();
            states.push(shown(&account.read()));
            let before = shown(&account.read());
            let made = account.change(|tx| transaction.iter().try_for_each(|operation| carry_out(tx, operation)));
            let after = account.read();
            check_links(&after)?;
            if made.is_err() {
                prop_assert_eq!(shown(&after), before, "a failed transaction leaves nothing");
            }
            states.push(shown(&after));
        }
        let last = shown(&account.read());
        drop(account);
        let whole = std::fs::read(fixture.journal()).unwrap();
        let reopened = fixture.open();
        prop_assert_eq!(shown(&reopened.read()), last.clone());
        drop(reopened);
        // Replaced by its sum at the start; a second start sees the same.
        prop_assert_eq!(shown(&fixture.open().read()), last);

        let cut = header + cut.index(whole.len() - header + 1);
        std::fs::write(fixture.journal(), &whole[..cut]).unwrap();
        let torn = shown(&fixture.open().read());
        prop_assert!(states.contains(&torn), "cut at {} of {}", cut, whole.len());
    }
}

#[test]
fn an_ownership_token_works_once_and_for_an_hour_by_the_clock() {
    let fixture = Fixture::new();
    let account = fixture.open();
    for number in [1, 2] {
        account.change(|tx| tx.create_pending(certificate(number), String::new(), &token(number))).unwrap();
    }
    fixture.clock.advance(Duration::from_secs(59 * 60));
    let redeem = |number| account.change(|tx| tx.redeem(&token(number), CertificateStatus::Active));
    assert_eq!(redeem(1).unwrap(), certificate(1));
    assert!(matches!(redeem(1), Err(AccountError::Token)), "used");
    assert!(matches!(redeem(9), Err(AccountError::Token)), "unknown");
    fixture.clock.advance(Duration::from_secs(2 * 60));
    assert!(account.read().has_ended(account.clock().now().into()));
    assert!(matches!(redeem(2), Err(AccountError::Token)), "expired");
    assert!(account.read().certificate(&certificate(2)).is_err(), "deleted with its token");
    assert!(account.read().certificate(&certificate(1)).is_ok());
    assert!(!account.read().has_ended(account.clock().now().into()));
}

#[test]
fn a_short_lived_claim_is_unlisted_and_gone_after_its_life() {
    let fixture = Fixture::new();
    let account = fixture.open();
    let life = Duration::from_secs(5 * 60);
    account
        .change(|tx| {
            tx.create_policy(policy(1), POLICY, BTreeMap::new())?;
            tx.create_short_claim(certificate(1), String::new(), &policy(1), life)
        })
        .unwrap();
    let now = || account.clock().now().into();
    assert!(!account.read().certificate(&certificate(1)).unwrap().is_listed());
    assert!(account.read().effective(&certificate(1), "a", now()).is_some());
    fixture.clock.advance(life);
    assert!(account.read().effective(&certificate(1), "a", now()).is_none(), "before anybody has deleted it");
    account.change(|_| Ok(())).unwrap();
    assert!(account.read().certificate(&certificate(1)).is_err());
}

#[test]
fn what_is_in_use_cannot_be_deleted() {
    let fixture = Fixture::new();
    let account = fixture.open();
    let target = PolicyTarget::Certificate(certificate(1));
    account
        .change(|tx| {
            tx.create_certificate(NewCertificate::issued(certificate(1), String::new(), CertificateStatus::Active))?;
            tx.create_policy(policy(1), POLICY, BTreeMap::new())?;
            tx.attach_policy(&policy(1), &target)?;
            tx.create_thing(new_thing(1))?;
            tx.attach_principal(&thing(1), &certificate(1), false)?;
            tx.create_policy_version(&policy(1), POLICY, false)
        })
        .unwrap();
    let refused = |attempt: &dyn Fn(&mut Tx<'_>) -> Result<(), AccountError>| account.change(attempt).unwrap_err();
    let delete_certificate = |tx: &mut Tx<'_>| tx.delete_certificate(&certificate(1), false);
    assert!(matches!(refused(&delete_certificate), AccountError::CertificateState(_)), "it is active");
    account.change(|tx| tx.set_status(&certificate(1), CertificateStatus::Inactive)).unwrap();
    assert!(matches!(refused(&delete_certificate), AccountError::DeleteConflict(_)), "it has a Thing");
    assert!(
        matches!(refused(&|tx| tx.delete_thing(&thing(1), None)), AccountError::Invalid(_)),
        "it has a certificate"
    );
    account.change(|tx| tx.detach_principal(&thing(1), &certificate(1))).unwrap();
    assert!(matches!(refused(&delete_certificate), AccountError::DeleteConflict(_)), "it has a policy");
    let delete_policy = |tx: &mut Tx<'_>| tx.delete_policy(&policy(1));
    assert!(matches!(refused(&delete_policy), AccountError::DeleteConflict(_)), "it has two versions");
    let default = |tx: &mut Tx<'_>| tx.delete_policy_version(&policy(1), 1);
    assert!(matches!(refused(&default), AccountError::DeleteConflict(_)), "it is the default version");
    account.change(|tx| tx.delete_policy_version(&policy(1), 2)).unwrap();
    assert!(matches!(refused(&delete_policy), AccountError::DeleteConflict(_)), "it is attached");
    account
        .change(|tx| {
            tx.delete_certificate(&certificate(1), true)?;
            tx.delete_policy(&policy(1))?;
            tx.delete_thing(&thing(1), None)
        })
        .unwrap();
    let tables = account.read();
    assert_eq!((tables.certificates.size(), tables.policies.size(), tables.things.size()), (0, 0, 0));
}
