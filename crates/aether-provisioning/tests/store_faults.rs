//! Every step of the store, killed, failed and without power at every operation that can leave a trace: the old state or the new one is there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod identities;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aether_mqtt::PrivateKey;
use aether_provisioning::simulated::{SimulatedDisk, Unsynced};
use aether_provisioning::{DirectoryStore, Identity, IdentityStore, IssuedCertificate, StoreError};
use identities::{Token, identity, issued, key, registered, state};

/// The store of a process on this disk.
fn open(disk: &SimulatedDisk, token: &Token) -> DirectoryStore {
    disk.store("/var/lib/aether/identity").keys(Arc::new(token.clone()))
}

/// A call of the store.
#[derive(Clone, Debug)]
enum Call {
    Prepare,
    StageKey(PrivateKey),
    StageIssued(IssuedCertificate),
    StageRegistered(Identity),
    Promote(Identity),
    Confirm,
    DiscardStaged,
}

impl Call {
    fn make(&self, store: &DirectoryStore) -> Result<(), StoreError> {
        match self {
            Self::Prepare => store.prepare(),
            Self::StageKey(key) => store.stage_key(key),
            Self::StageIssued(issued) => store.stage_issued(issued),
            Self::StageRegistered(identity) => store.stage_registered(identity),
            Self::Promote(identity) => store.promote(identity),
            Self::Confirm => store.confirm(),
            Self::DiscardStaged => store.discard_staged(),
        }
    }
}

/// The calls of one life of a device, each of which is put to the test after those before it.
fn lives(token: &Token) -> Vec<Vec<Call>> {
    use Call::{Confirm, DiscardStaged, Prepare, Promote, StageIssued, StageKey, StageRegistered};
    let [first, second, third, fourth] = ["c1", "c2", "c3", "c4"].map(|id| issued(id, Duration::ZERO));
    let own = issued("c5", Duration::ZERO);
    let (one, two, three) = (registered(&first), registered(&second), registered(&third));
    let in_token = token.issued("c6");
    vec![
        // The service makes the keys; a rotation; another one before it was confirmed.
        vec![
            Prepare,
            StageIssued(first),
            StageRegistered(one.clone()),
            Promote(one.clone()),
            Promote(one.clone()),
            Confirm,
            Prepare,
            StageIssued(second.clone()),
            StageRegistered(two.clone()),
            Promote(one.clone()),
            Promote(two.clone()),
            Confirm,
            StageIssued(third.clone()),
            StageRegistered(three.clone()),
            Promote(three.clone()),
            Promote(identity("c7")),
            Confirm,
        ],
        // The device makes its key, loses patience with a token, and starts again.
        vec![
            StageKey(key()),
            StageKey(own.credentials().private_key().clone()),
            StageIssued(own.clone()),
            StageIssued(fourth.clone()),
            StageKey(key()),
            DiscardStaged,
            StageKey(own.credentials().private_key().clone()),
            StageIssued(own.clone()),
            StageRegistered(registered(&own)),
            Promote(registered(&own)),
        ],
        // The key is in a token, and the one before it was not.
        vec![
            StageKey(key()),
            StageKey(token.key()),
            StageIssued(in_token.clone()),
            StageRegistered(registered(&in_token)),
            Promote(registered(&in_token)),
            StageKey(token.key()),
            StageKey(key()),
            DiscardStaged,
        ],
        // Rotations that are taken back.
        vec![
            Promote(one.clone()),
            StageIssued(second),
            StageRegistered(two.clone()),
            Promote(two.clone()),
            Promote(one),
            Promote(two.clone()),
            Confirm,
            StageIssued(fourth.clone()),
            Promote(three),
            StageRegistered(registered(&fourth)),
            DiscardStaged,
            Promote(two),
        ],
    ]
}

/// A call about to be made, with what the store holds before and after it.
struct Trial<'a> {
    disk: &'a SimulatedDisk,
    token: &'a Token,
    call: &'a Call,
    /// The states the call may leave: before, after, and for a promotion of what was not staged, staged.
    states: Vec<String>,
    /// The files after it.
    files: BTreeSet<PathBuf>,
    operations: u64,
    changes: u64,
}

impl<'a> Trial<'a> {
    fn new(disk: &'a SimulatedDisk, token: &'a Token, call: &'a Call) -> Self {
        let fork = disk.fork(1);
        let store = open(&fork, token);
        let mut states = vec![state(&store)];
        let (operations, changes) = (fork.operations(), fork.changes());
        call.make(&store).unwrap();
        let (operations, changes) = (fork.operations() - operations, fork.changes() - changes);
        if let Call::Promote(identity) = call
            && !states[0].contains(&format!("active {}=", identity.certificate_id()))
        {
            let staged = disk.fork(1);
            let store = open(&staged, token);
            store.stage_registered(identity).unwrap();
            states.push(state(&store));
        }
        states.push(state(&store));
        Self { disk, token, call, states, files: fork.files().into_keys().collect(), operations, changes }
    }

    #[track_caller]
    fn check_state(&self, disk: &SimulatedDisk, what: &str) {
        let found = state(&open(disk, self.token));
        assert!(self.states.contains(&found), "{what} in {:?}\nfound {found}\nof {:#?}", self.call, self.states);
    }

    /// The call is made again, and ends as if nothing had happened.
    #[track_caller]
    fn check_recovery(&self, disk: &SimulatedDisk, what: &str) {
        let store = open(disk, self.token);
        let after = self.states.last().unwrap();
        self.call.make(&store).unwrap();
        assert_eq!(state(&store), *after, "{what} in {:?}, again", self.call);
        drop(store);
        disk.cut_power(Unsynced::Lost);
        assert_eq!(state(&open(disk, self.token)), *after, "{what} in {:?}, again, and the power cut", self.call);
        open(disk, self.token).prepare().unwrap();
        let files: BTreeSet<_> = disk.files().into_keys().collect();
        let left: Vec<_> = files.symmetric_difference(&self.files).filter(|path| !path.ends_with("lock")).collect();
        assert!(left.is_empty(), "{what} in {:?} left {left:?}", self.call);
    }

    fn killed_at(&self, change: u64) {
        for (mode, unsynced) in [None, Some(Unsynced::Lost)].into_iter().chain([Some(Unsynced::Random); 3]).enumerate()
        {
            let disk = self.disk.fork(change * 8 + mode as u64);
            let store = open(&disk, self.token);
            disk.kill_after(change);
            let result = self.call.make(&store);
            // The clearing away at the end of a call may be killed without its noticing.
            assert!(disk.is_dead());
            drop(store);
            match unsynced {
                None => disk.restart(),
                Some(unsynced) => disk.cut_power(unsynced),
            }
            let what = format!("killed at change {change}, then {unsynced:?}");
            self.check_state(&disk, &what);
            if result.is_ok() {
                assert_eq!(state(&open(&disk, self.token)), *self.states.last().unwrap(), "{what} in {:?}", self.call);
            }
            if unsynced != Some(Unsynced::Random) {
                self.check_recovery(&disk, &what);
            }
        }
    }

    fn failed_at(&self, operation: u64) {
        const EIO: i32 = 5;
        const EACCES: i32 = 13;
        const ENOSPC: i32 = 28;
        for (error, times) in [(EIO, 1), (EACCES, 1), (EIO, u64::MAX), (ENOSPC, u64::MAX)] {
            let disk = self.disk.fork(operation);
            let store = open(&disk, self.token);
            disk.fail_after(operation, times, error);
            let result = self.call.make(&store);
            disk.fail_after(0, 0, 0);
            let what = format!("error {error} at {operation}, {times} times");
            self.check_state(&disk, &what);
            if result.is_ok() {
                assert_eq!(state(&store), *self.states.last().unwrap(), "{what} in {:?}", self.call);
            }
            drop(store);
            disk.cut_power(Unsynced::Lost);
            self.check_state(&disk, &format!("{what}, then the power cut"));
            if times > 1 {
                self.check_recovery(&disk, &what);
            }
        }
    }
}

fn every_call_of_every_life(check: impl Fn(&Trial<'_>)) {
    let token = Token::new();
    for life in lives(&token) {
        let disk = SimulatedDisk::new(0);
        for call in life {
            let trial = Trial::new(&disk, &token, &call);
            check(&trial);
            call.make(&open(&disk, &token)).unwrap();
            disk.cut_power(Unsynced::Lost);
        }
    }
}

#[test]
fn a_kill_or_power_cut_at_any_change_leaves_the_old_state_or_the_new() {
    every_call_of_every_life(|trial| (0..trial.changes).for_each(|change| trial.killed_at(change)));
}

#[test]
fn an_operation_that_fails_leaves_the_old_state_or_the_new() {
    every_call_of_every_life(|trial| (0..trial.operations).for_each(|operation| trial.failed_at(operation)));
}

#[test]
fn what_was_told_as_kept_survives_a_power_cut() {
    every_call_of_every_life(|trial| {
        let disk = trial.disk.fork(0);
        trial.call.make(&open(&disk, trial.token)).unwrap();
        disk.cut_power(Unsynced::Lost);
        assert_eq!(state(&open(&disk, trial.token)), *trial.states.last().unwrap(), "{:?}", trial.call);
    });
}

#[test]
fn no_number_of_kills_in_a_row_loses_an_identity() {
    let token = Token::new();
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        for (number, call) in lives(&token).into_iter().flatten().enumerate() {
            let trial = Trial::new(&disk, &token, &call);
            for kill in 0..4 {
                let change = (seed * 7919 + number as u64 * 104_729 + kill * 1_299_709) % trial.changes;
                let store = open(&disk, &token);
                disk.kill_after(change);
                let _ = call.make(&store);
                drop(store);
                disk.cut_power(if kill % 2 == 0 { Unsynced::Random } else { Unsynced::Lost });
                trial.check_state(&disk, &format!("seed {seed}, kill {kill} at change {change}"));
            }
            disk.restart();
            call.make(&open(&disk, &token)).unwrap();
            assert_eq!(state(&open(&disk, &token)), *trial.states.last().unwrap());
        }
    }
}
