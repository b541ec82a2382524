//! A file system in memory that fails, is killed and loses power when a test wants it to.
//!
//! For tests only, of this crate and of what is built on it; no part of the API that is kept stable.

mod operations;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::state::{Names, Node, Plan, State, next};
use crate::DirectoryStore;

/// A file system in memory. Clones are the same one.
///
/// Operations are counted: all of them, and those that change something. [`kill_after`](Self::kill_after) and [`fail_after`](Self::fail_after) say what
/// becomes of which; [`restart`](Self::restart) is the next process on the same machine, [`cut_power`](Self::cut_power)
/// the next start of the machine: of what was not synced, contents and names of directories each for itself, some is
/// lost.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

/// What becomes of writes and names that were not synced when the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "for tests only")]
pub enum Unsynced {
    /// All of it is lost.
    Lost,
    /// Each by itself is lost, kept, or kept in part.
    Random,
}

impl SimulatedDisk {
    /// An empty one. The seed decides what is lost when the power fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = Node::Directory { names: Names::new(), synced: Names::new(), unsynced: Vec::new() };
        Self(Arc::new(Mutex::new(State {
            nodes: vec![root],
            locks: BTreeSet::new(),
            process: 0,
            operations: 0,
            changes: 0,
            plan: Plan::Run,
            random: seed.wrapping_mul(2).wrapping_add(1),
        })))
    }

    /// Another disk with the same on it, on another machine: no lock is held there and nothing is to fail. `seed` is as
    /// of [`new`](Self::new).
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut state = self.state().clone();
        state.random = seed.wrapping_mul(2).wrapping_add(1);
        let fork = Self(Arc::new(Mutex::new(state)));
        fork.restart();
        fork
    }

    /// A store on it, as a process opens it. `root` is absolute.
    #[must_use]
    pub fn store(&self, root: impl Into<PathBuf>) -> DirectoryStore {
        DirectoryStore::on(Arc::new(self.clone()), root.into())
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// How many of them changed something, or made a change last.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Kills the process after so many more changes: the next one does not happen, or in part if it is a write.
    pub fn kill_after(&self, changes: u64) {
        let mut state = self.state();
        state.plan = Plan::KillAt(state.changes + changes);
    }

    /// Lets operations fail, `times` of them after so many good ones, with an error number of the operating system.
    pub fn fail_after(&self, operations: u64, times: u64, error: i32) {
        let mut state = self.state();
        let first = state.operations + operations;
        state.plan = Plan::Fail(first, first.saturating_add(times), error);
    }

    /// Whether the process was killed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state().plan, Plan::Dead)
    }

    /// Another process begins. What was done is seen by it, synced or not.
    pub fn restart(&self) {
        let mut state = self.state();
        state.plan = Plan::Run;
        state.process += 1;
        state.locks.clear();
    }

    /// The power fails and comes back, and another process begins.
    pub fn cut_power(&self, unsynced: Unsynced) {
        self.restart();
        let mut state = self.state();
        let state = &mut *state;
        for node in &mut state.nodes {
            let mut keep = || unsynced == Unsynced::Random && next(&mut state.random).is_multiple_of(2);
            match node {
                Node::File { content, synced } => {
                    if content != synced && keep() {
                        // A part of it, or its length without its content.
                        if keep() {
                            content.truncate(content.len() / 2);
                        } else if keep() {
                            content.fill(0);
                        }
                        synced.clone_from(content);
                    } else {
                        content.clone_from(synced);
                    }
                }
                Node::Directory { names, synced, unsynced } => {
                    for change in unsynced.drain(..).filter(|_| keep()) {
                        change.apply(synced);
                    }
                    names.clone_from(synced);
                }
            }
        }
    }

    /// Writes a file behind the store's back; it is synced at once.
    pub fn put(&self, path: impl AsRef<Path>, content: &[u8]) {
        let mut state = self.state();
        if let Ok(node) = state.find(path.as_ref()) {
            state.nodes[node] = Node::File { content: content.to_vec(), synced: content.to_vec() };
        } else {
            let node = state.add(path.as_ref(), Node::File { content: content.to_vec(), synced: content.to_vec() });
            debug_assert!(node.is_ok(), "the directory exists");
            let _ = state.parent(path.as_ref()).map(|(parent, _)| state.sync(parent));
        }
    }

    /// Every file, with its content.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let mut files = BTreeMap::new();
        let mut open = vec![(PathBuf::from("/"), 0)];
        while let Some((path, node)) = open.pop() {
            match &state.nodes[node] {
                Node::File { content, .. } => {
                    files.insert(path, content.clone());
                }
                Node::Directory { names, .. } => open.extend(names.iter().map(|(name, &node)| (path.join(name), node))),
            }
        }
        files
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for one more operation, unless it fails.
    fn operate(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.operate()?;
        Ok(state)
    }

    /// The state, for one more change, unless it fails.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.operate_change()?;
        Ok(state)
    }
}
