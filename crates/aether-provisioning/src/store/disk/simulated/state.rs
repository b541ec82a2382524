//! What is on the simulated disk, what of it would survive a power cut, and what is to go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) nodes: Vec<Node>,
    pub(super) locks: BTreeSet<PathBuf>,
    /// Which process it is: the locks of earlier ones are gone.
    pub(super) process: u64,
    pub(super) operations: u64,
    pub(super) changes: u64,
    pub(super) plan: Plan,
    pub(super) random: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File { content: Vec<u8>, synced: Vec<u8> },
    Directory { names: Names, synced: Names, unsynced: Vec<Change> },
}

pub(super) type Names = BTreeMap<String, usize>;

#[derive(Clone, Debug)]
pub(super) enum Change {
    Add(String, usize),
    Remove(String),
    Move { from: String, to: String, node: usize },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    Run,
    KillAt(u64),
    /// The operations from the first up to the second fail with this error of the operating system.
    Fail(u64, u64, i32),
    Dead,
}

impl Change {
    pub(super) fn apply(self, names: &mut Names) {
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
    pub(super) fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.plan {
            Plan::Fail(first, end, error) if (first..end).contains(&number) => Err(io::Error::from_raw_os_error(error)),
            Plan::Dead => Err(io::Error::other("killed")),
            Plan::Run | Plan::KillAt(_) | Plan::Fail(..) => Ok(()),
        }
    }

    pub(super) fn operate_change(&mut self) -> io::Result<()> {
        if matches!(self.plan, Plan::KillAt(at) if self.changes >= at) {
            self.plan = Plan::Dead;
        }
        self.changes += 1;
        self.operate()
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<usize> {
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

    pub(super) fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let name = text(path.file_name().ok_or(io::ErrorKind::InvalidFilename)?)?.to_owned();
        Ok((self.find(path.parent().unwrap_or(Path::new("/")))?, name))
    }

    pub(super) fn names(&self, node: usize) -> io::Result<&Names> {
        match &self.nodes[node] {
            Node::Directory { names, .. } => Ok(names),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn change(&mut self, directory: usize, change: Change) -> io::Result<()> {
        match &mut self.nodes[directory] {
            Node::Directory { names, unsynced, .. } => {
                unsynced.push(change.clone());
                change.apply(names);
                Ok(())
            }
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        let (parent, name) = self.parent(path)?;
        if self.names(parent)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.change(parent, Change::Add(name, number))?;
        Ok(number)
    }

    pub(super) fn sync(&mut self, node: usize) {
        match &mut self.nodes[node] {
            Node::File { content, synced } => synced.clone_from(content),
            Node::Directory { names, synced, unsynced } => {
                synced.clone_from(names);
                unsynced.clear();
            }
        }
    }
}

fn text(name: &std::ffi::OsStr) -> io::Result<&str> {
    name.to_str().ok_or_else(|| io::ErrorKind::InvalidFilename.into())
}

/// The next of a row of numbers that look random (splitmix64).
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
