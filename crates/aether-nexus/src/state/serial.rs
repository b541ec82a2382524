//! A serial number for devices that were given none.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::{create_directory, private};

/// Returns this device's serial number: 16 hexadecimal digits, random at the first call and kept
/// in `state_dir` from then on.
pub(crate) fn serial_number(state_dir: &Path) -> io::Result<String> {
    let path = state_dir.join("serial-number");
    match fs::read_to_string(&path) {
        Ok(text) if is_serial_number(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => {
            let text = format!("{} does not hold 16 hexadecimal digits; remove it to have one made", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(cause),
    }
    let serial = format!("{:016x}", getrandom::u64().map_err(|e| io::Error::other(e.to_string()))?);
    create_directory(state_dir)?;
    // Whole or not at all: a power cut must not leave half a number behind.
    let draft = state_dir.join("serial-number.new");
    let mut file = private().write(true).create(true).truncate(true).open(&draft)?;
    writeln!(file, "{serial}")?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    fs::File::open(state_dir)?.sync_all()?;
    Ok(serial)
}

fn is_serial_number(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = serial_number(&state).unwrap();
        assert!(is_serial_number(&first));
        assert_eq!(serial_number(&state).unwrap(), first);
        assert_ne!(serial_number(&dir.path().join("other")).unwrap(), first);
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("serial-number");
        fs::write(&path, "half").unwrap();
        let error = serial_number(dir.path()).unwrap_err().to_string();
        assert!(error.contains("serial-number"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "half");
    }
}
