//! What has to be true of the disk and of the requests, whatever happens: kept beside the run, and compared with it.

use std::time::{Duration, SystemTime};

use aether_provisioning::simulated::{SimulatedDisk, Unsynced};
use aether_provisioning::{Contents, IdentityStore as _, ProvisionError, Staged};

use crate::cloud::{Cloud, Status};

/// The directory of the store.
pub(crate) const ROOT: &str = "/state";

/// What the disk may hold of the identity that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    /// Its public key.
    Key(Vec<u8>),
    /// Its certificate id.
    Issued(String),
    Registered(String),
}

impl Held {
    fn of(contents: &Contents) -> Self {
        match &contents.staged {
            Staged::Nothing => Self::Nothing,
            Staged::Key(key) => Self::Key(key.public_key_der().to_vec()),
            Staged::Issued(issued) => Self::Issued(issued.certificate_id().to_string()),
            Staged::Registered(identity) => Self::Registered(identity.certificate_id().to_string()),
        }
    }
}

fn active(contents: &Contents) -> Option<String> {
    contents.active.as_ref().map(|one| one.certificate_id().to_string())
}

#[derive(Debug)]
pub(crate) struct Ledger {
    /// The identity that the last promotion made active.
    pub(crate) active: Option<String>,
    /// One whose promotion was begun.
    promoting: Option<String>,
    /// What the last call that succeeded left.
    pub(crate) held: Held,
    /// Whether that survives a power cut: what a process finds may not have been synced by the one before.
    settled: bool,
    /// What calls since then may have left.
    attempted: Vec<Held>,
    /// How many certificates may have been asked for by now.
    allowed: usize,
    /// Refusals with status 400 that were put into the schedule and not yet told.
    pub(crate) denied: usize,
    /// Refusals with status 403 and garbled answers, since the process began.
    pub(crate) bounded: u32,
    pub(crate) refusals: u32,
    checks: u64,
}

impl Ledger {
    pub(crate) fn new(active: Option<String>, refusals: u32) -> Self {
        Self {
            active,
            promoting: None,
            held: Held::Nothing,
            settled: true,
            attempted: Vec::new(),
            allowed: 1,
            denied: 0,
            bounded: 0,
            refusals,
            checks: 0,
        }
    }

    /// Something has happened that may cost one more certificate.
    pub(crate) fn may_cost_one(&mut self) {
        self.bounded += 1;
        self.allowed += 1;
    }

    pub(crate) fn attempt(&mut self, held: Held) {
        self.attempted.push(held);
    }

    pub(crate) fn attempt_promotion(&mut self, id: &str) {
        self.promoting = Some(id.to_owned());
        self.attempted.push(Held::Nothing);
    }

    pub(crate) fn kept(&mut self, held: Held) {
        self.held = held;
        self.settled = true;
        self.attempted.clear();
    }

    pub(crate) fn promoted(&mut self, id: &str) {
        self.active = Some(id.to_owned());
        self.promoting = None;
        self.kept(Held::Nothing);
    }

    /// Whatever the next instant brings, the disk has what it has to have.
    pub(crate) fn check_disk(&mut self, disk: &SimulatedDisk, wall: SystemTime) {
        self.checks += 1;
        for unsynced in [None, Some(Unsynced::Lost), Some(Unsynced::Random)] {
            let after = disk.fork(self.checks);
            if let Some(unsynced) = unsynced {
                after.cut_power(unsynced);
            }
            let contents = after.store(ROOT).load(wall);
            let contents = contents.unwrap_or_else(|error| panic!("{unsynced:?}: cannot be loaded: {error}"));
            self.check(&contents);
        }
    }

    fn check(&self, contents: &Contents) {
        assert!(contents.findings.is_empty(), "found damaged: {:?}", contents.findings);
        let (active, held) = (active(contents), Held::of(contents));
        let promoted = self.promoting.is_some() && active == self.promoting;
        assert!(active == self.active || promoted, "{active:?} is active: {self:?}");
        assert!(held == self.held || promoted || self.attempted.contains(&held), "{held:?} is staged: {self:?}");
    }

    /// A new process begins with what it finds; after a power cut that is what is left, and nothing of it goes.
    pub(crate) fn restart(&mut self, contents: &Contents, after_power_cut: bool) {
        self.check(contents);
        self.active = active(contents);
        self.promoting = None;
        let found = Held::of(contents);
        // The token that was found may be spent.
        self.bounded = u32::from(matches!(found, Held::Issued(_)));
        if after_power_cut {
            self.kept(found);
        } else {
            let before = std::mem::replace(&mut self.held, found);
            self.attempted.push(before);
            self.settled = false;
        }
    }

    /// A certificate is asked for at the true time `now`.
    pub(crate) fn asks_for_certificate(&mut self, cloud: &Cloud, now: Duration) {
        let own: Vec<_> = cloud.certificates.iter().filter(|one| one.id.starts_with('c')).collect();
        if own.last().is_some_and(|last| now >= last.issued_at + Duration::from_secs(55 * 60)) {
            // The token of the one before is too old.
            self.allowed += 1;
        }
        assert!(own.len() < self.allowed, "certificate {} where {} are allowed", own.len() + 1, self.allowed);
    }

    /// A Thing is asked for with the token of certificate `id`.
    pub(crate) fn asks_for_thing(&self, id: &str) {
        self.is_kept(&Held::Issued(id.to_owned()));
    }

    /// Whatever happens, the disk has this.
    pub(crate) fn is_kept(&self, held: &Held) {
        assert_eq!(self.held, *held, "before it is kept");
        assert!(self.settled, "before it survives a power cut");
        assert!(self.attempted.is_empty(), "while something else is being kept");
    }

    /// Whether a run may end with this error, given what went wrong.
    pub(crate) fn final_error(&mut self, error: &ProvisionError) {
        let denied = matches!(error, ProvisionError::Rejected { status_code: 400, .. }) && self.denied > 0;
        let gave_up = matches!(error, ProvisionError::GaveUp { .. }) && self.bounded >= self.refusals;
        assert!(denied || gave_up, "a final error where everything could have been tried again: {error:?}");
        self.denied -= usize::from(denied);
    }

    /// After the end of a run.
    pub(crate) fn finished(&self, cloud: &Cloud, contents: &Contents, old: Option<&str>, all_read: bool) {
        self.check(contents);
        let id = active(contents).expect("an active identity");
        assert_ne!(Some(&*id), old);
        assert_eq!(cloud.find(&id).status, Status::Active);
        assert_eq!(Held::of(contents), Held::Nothing);
        if let Some(old) = old.filter(|_| all_read) {
            let previous = contents.previous.as_ref().map(|one| one.certificate_id().as_str());
            assert_eq!(previous, Some(old), "the one before is kept until the new one has carried an event");
            assert!(contents.unconfirmed);
        }
    }
}
