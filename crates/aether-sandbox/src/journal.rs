//! A file of JSON lines that only grows: what state is kept in between two starts.
//!
//! ```text
//!  {"format":2}                 ◀─ header, names the form
//!  [change, change]             ◀─ one line, one transaction: all of it counts, or nothing
//!  [change]
//!  [chan                        ◀─ torn by a kill: cut off at the next start
//! ```
//!
//! A change is on its way to the disk when [`Journal::append`] returns, which a kill of the process
//! survives. It is not waited for, so a power cut may take the last seconds: a sandbox is for tests
//! and workbenches. At a start the file is replaced by its sum, which is fsynced.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::StartError;
use crate::random;

/// Version of the form of the lines.
const FORMAT: u32 = 2;
/// Longest line taken; a longer one is damage.
const MAX_LINE: u64 = 64 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
}

/// An open journal of changes of type `C`.
#[derive(Debug)]
pub(crate) struct Journal<C> {
    path: PathBuf,
    file: File,
    /// Length of the whole lines; a failed append is cut back to it.
    length: u64,
    changes: PhantomData<fn(C)>,
}

impl<C: Serialize + DeserializeOwned> Journal<C> {
    /// Opens or makes the journal. Every transaction in it is given to `apply`, in order; then
    /// `sum` says what all of it comes to, and the file is replaced by that.
    pub(crate) fn open(
        path: &Path,
        mut apply: impl FnMut(Vec<C>) -> Result<(), String>,
        sum: impl FnOnce() -> Vec<Vec<C>>,
    ) -> Result<Self, StartError> {
        let damaged = |line: usize, cause: String| {
            StartError::invalid_file(path, "the journal of a sandbox")(format!("line {line}: {cause}"))
        };
        match File::open(path) {
            Ok(file) => {
                for line in Lines::new(file) {
                    let (number, text) = line.map_err(StartError::io("read", path))?;
                    if number == 1 {
                        check_header(&text).map_err(|cause| damaged(number, cause))?;
                        continue;
                    }
                    let changes: Vec<C> =
                        serde_json::from_slice(&text).map_err(|cause| damaged(number, cause.to_string()))?;
                    apply(changes).map_err(|cause| damaged(number, cause))?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StartError::io("read", path)(error)),
        }
        Self::replace(path, sum()).map_err(StartError::io("write", path))
    }

    /// Appends one transaction. On an error nothing of it is kept.
    pub(crate) fn append(&mut self, changes: &[C]) -> io::Result<()> {
        let mut line = serde_json::to_vec(changes)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // Half a line must not stay where the next one would be appended to it.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(error);
        }
        self.length = self.length.saturating_add(line.len() as u64);
        Ok(())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Replaces the file by these transactions: a temporary file, fsync, rename, fsync.
    pub(crate) fn replace(path: &Path, sum: Vec<Vec<C>>) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("journal");
        let temporary = folder.join(format!(".{name}.{}.tmp", random::hex_text::<8>()?));
        let written = write_sum(&temporary, &sum).and_then(|file| {
            std::fs::rename(&temporary, path)?;
            File::open(folder)?.sync_all()?;
            Ok(file)
        });
        if written.is_err() {
            // The first error is the one to report; a leftover temporary file is never read.
            let _ = std::fs::remove_file(&temporary);
        }
        let mut file = written?;
        let length = file.seek(SeekFrom::End(0))?;
        Ok(Self { path: path.to_owned(), file, length, changes: PhantomData })
    }
}

fn write_sum<C: Serialize>(path: &Path, sum: &[Vec<C>]) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(&mut writer, &Header { format: FORMAT })?;
    writer.write_all(b"\n")?;
    for changes in sum {
        serde_json::to_writer(&mut writer, changes)?;
        writer.write_all(b"\n")?;
    }
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file)
}

fn check_header(text: &[u8]) -> Result<(), String> {
    let header: Header = serde_json::from_slice(text).map_err(|cause| cause.to_string())?;
    match header.format == FORMAT {
        true => Ok(()),
        false => Err(format!("format is {}, expected {FORMAT}", header.format)),
    }
}

/// The whole lines of a file with their numbers. What follows the last line end is left out.
struct Lines {
    reader: BufReader<File>,
    number: usize,
}

impl Lines {
    fn new(file: File) -> Self {
        Self { reader: BufReader::new(file), number: 0 }
    }
}

impl Iterator for Lines {
    type Item = io::Result<(usize, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let mut bounded = io::Read::take(&mut self.reader, MAX_LINE);
        match bounded.read_until(b'\n', &mut line) {
            Ok(_) if line.last() == Some(&b'\n') => {
                line.pop();
                self.number += 1;
                Some(Ok((self.number, line)))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Opens a journal of numbers and gives what was in it.
    fn open(path: &Path) -> Result<(Journal<u32>, Vec<Vec<u32>>), StartError> {
        let found = RefCell::new(Vec::new());
        let journal = Journal::open(
            path,
            |changes| {
                found.borrow_mut().push(changes);
                Ok(())
            },
            || found.borrow().clone(),
        )?;
        Ok((journal, found.into_inner()))
    }

    #[test]
    fn what_was_appended_is_there_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let (mut journal, found) = open(&path).unwrap();
        assert!(found.is_empty());
        journal.append(&[1, 2]).unwrap();
        journal.append(&[3]).unwrap();
        drop(journal);
        let (mut journal, found) = open(&path).unwrap();
        assert_eq!(found, [vec![1, 2], vec![3]]);
        journal.append(&[4]).unwrap();
        assert_eq!(journal.length(), std::fs::metadata(&path).unwrap().len());
        assert_eq!(open(&path).unwrap().1.len(), 3);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let (mut journal, _) = open(&path).unwrap();
        journal.append(&[1, 2]).unwrap();
        let before = journal.length();
        journal.append(&[333, 444]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for end in usize::try_from(before).unwrap()..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let (mut journal, found) = open(&path).unwrap();
            assert_eq!(found, [vec![1, 2]], "torn at {end}");
            journal.append(&[5]).unwrap();
            assert_eq!(open(&path).unwrap().1, [vec![1, 2], vec![5]], "torn at {end}");
        }
    }

    #[test]
    fn damage_inside_names_the_line_and_leaves_the_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        for (text, place) in [
            ("{\"format\":2}\n[1]\nx\n[2]\n", "line 3"),
            ("{\"format\":9}\n", "line 1"),
            ("junk\n", "line 1"),
            ("{\"format\":2}\n[\"no number\"]\n", "line 2"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = open(&path).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(place), "{cause}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        drop(open(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
