//! A file system in memory that fails, is killed and loses power when a test wants it to.
//!
//! For tests only, of this crate and of what is built on it; no part of the API that is kept stable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Entry, Held, Kind};
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

#[derive(Clone, Debug)]
struct State {
    nodes: Vec<Node>,
    locks: BTreeSet<PathBuf>,
    /// Which process it is: the locks of earlier ones are gone.
    process: u64,
    operations: u64,
    changes: u64,
    plan: Plan,
    random: u64,
}

#[derive(Clone, Debug)]
enum Node {
    File { content: Vec<u8>, synced: Vec<u8> },
    Directory { names: Names, synced: Names, unsynced: Vec<Change> },
}

type Names = BTreeMap<String, usize>;

#[derive(Clone, Debug)]
enum Change {
    Add(String, usize),
    Remove(String),
    Move { from: String, to: String, node: usize },
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Run,
    KillAt(u64),
    /// The operations from the first up to the second fail with this error of the operating system.
    Fail(u64, u64, i32),
    Dead,
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

impl Change {
    fn apply(self, names: &mut Names) {
        match self {
            Self::Add(name, node) => {
                names.insert(name, node);
            }
            Self::Remove(name) => {
                names.remove(&name);
            }
            Self::Move { from, to, node } => {
                names.remove(&from);
                names.insert(to, node);
            }
        }
    }
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.plan {
            Plan::Fail(first, end, error) if (first..end).contains(&number) => Err(io::Error::from_raw_os_error(error)),
            Plan::Dead => Err(io::Error::other("killed")),
            Plan::Run | Plan::KillAt(_) | Plan::Fail(..) => Ok(()),
        }
    }

    fn operate_change(&mut self) -> io::Result<()> {
        if matches!(self.plan, Plan::KillAt(at) if self.changes >= at) {
            self.plan = Plan::Dead;
        }
        self.changes += 1;
        self.operate()
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut node = 0;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => node = *self.names(node)?.get(text(name)?).ok_or(io::ErrorKind::NotFound)?,
                Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidFilename.into()),
            }
        }
        Ok(node)
    }

    fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let name = text(path.file_name().ok_or(io::ErrorKind::InvalidFilename)?)?.to_owned();
        Ok((self.find(path.parent().unwrap_or(Path::new("/")))?, name))
    }

    fn names(&self, node: usize) -> io::Result<&Names> {
        match &self.nodes[node] {
            Node::Directory { names, .. } => Ok(names),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn change(&mut self, directory: usize, change: Change) -> io::Result<()> {
        match &mut self.nodes[directory] {
            Node::Directory { names, unsynced, .. } => {
                unsynced.push(change.clone());
                change.apply(names);
                Ok(())
            }
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        let (parent, name) = self.parent(path)?;
        if self.names(parent)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.change(parent, Change::Add(name, number))?;
        Ok(number)
    }

    fn sync(&mut self, node: usize) {
        match &mut self.nodes[node] {
            Node::File { content, synced } => synced.clone_from(content),
            Node::Directory { names, synced, unsynced } => {
                synced.clone_from(names);
                unsynced.clear();
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        let state = self.operate()?;
        match state.find(path) {
            Ok(node) => Ok(Some(match &state.nodes[node] {
                Node::File { .. } => Entry { kind: Kind::File, mode: 0o600, owner: 0 },
                Node::Directory { .. } => Entry { kind: Kind::Directory, mode: 0o700, owner: 0 },
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn entry_behind_links(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.entry(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let state = self.operate()?;
        match &state.nodes[state.find(path)?] {
            Node::File { content, .. } => {
                Ok(content.iter().copied().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
            }
            Node::Directory { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.operate()?;
        let node = state.find(path)?;
        Ok(state.names(node)?.keys().cloned().collect())
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let directory = Node::Directory { names: Names::new(), synced: Names::new(), unsynced: Vec::new() };
        self.change()?.add(path, directory).map(drop)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let node = self.change()?.add(path, Node::File { content: Vec::new(), synced: Vec::new() })?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let node = state.find(from)?;
        let ((parent, from), (target, to)) = (state.parent(from)?, state.parent(to)?);
        if parent != target {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        if let Some(&taken) = state.names(parent)?.get(&to)
            && matches!(state.nodes[taken], Node::Directory { .. })
        {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        state.change(parent, Change::Move { from, to, node })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let node = state.find(path)?;
        if matches!(state.nodes[node], Node::Directory { .. }) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (parent, name) = state.parent(path)?;
        state.change(parent, Change::Remove(name))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let node = state.find(path)?;
        if !state.names(node)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (parent, name) = state.parent(path)?;
        state.change(parent, Change::Remove(name))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let node = state.find(path)?;
        state.sync(node);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.sync_file(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        let mut state = self.change()?;
        if state.find(path).is_err() {
            state.add(path, Node::File { content: Vec::new(), synced: Vec::new() })?;
        }
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimulatedLock { disk: self.clone(), path: path.to_owned(), process: state.process })))
    }

    fn user(&self) -> Option<u32> {
        Some(0)
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
}

impl DiskFile for SimulatedFile {
    fn write(&mut self, new: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let result = state.operate_change();
        // What fails or is killed in a write has written a part.
        let written = if result.is_ok() { new } else { &new[..new.len() / 2] };
        if let Node::File { content, .. } = &mut state.nodes[self.node] {
            content.extend(written);
        }
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.change()?;
        state.sync(self.node);
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedLock {
    disk: SimulatedDisk,
    path: PathBuf,
    process: u64,
}

impl Held for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.process == self.process {
            state.locks.remove(&self.path);
        }
    }
}

fn text(name: &std::ffi::OsStr) -> io::Result<&str> {
    name.to_str().ok_or_else(|| io::ErrorKind::InvalidFilename.into())
}

/// The next of a row of numbers that look random (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
