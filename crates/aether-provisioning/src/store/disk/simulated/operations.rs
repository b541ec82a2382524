//! The operations of the simulated disk.

use std::io;
use std::path::{Path, PathBuf};

use super::super::{Disk, DiskFile, Entry, Held, Kind};
use super::SimulatedDisk;
use super::state::{Change, Names, Node};

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
