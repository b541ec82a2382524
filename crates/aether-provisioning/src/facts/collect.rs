//! Files read with a limit, and a note of each that gave nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::Looked;
use super::parameter::MAX_CHARS;

/// What is looked at below one root.
pub(super) struct Search {
    root: PathBuf,
    looked: Vec<Looked>,
}

impl Search {
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), looked: Vec::new() }
    }

    pub(super) fn into_looked(self) -> Vec<Looked> {
        self.looked
    }

    /// Where `path`, which is relative, is below the root.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Notes that `path` was of no use.
    pub(super) fn note(&mut self, path: PathBuf, why: impl Into<String>) {
        self.looked.push(Looked { path, why: why.into() });
    }

    /// The text of a short file without what stands around it, if it is a value; else it is noted.
    pub(super) fn value(&mut self, path: &str, refuse: impl Fn(&str) -> Option<&'static str>) -> Option<String> {
        let full = self.path(path);
        // As many bytes as the longest value of a parameter has at most, and one to see that there are more.
        let text = match read(&full, 4 * MAX_CHARS as u64 + 1) {
            Ok(text) => text,
            Err(cause) => {
                self.note(full, reason(&cause));
                return None;
            }
        };
        let value = trimmed(&text);
        match fault(value).or_else(|| refuse(value)) {
            None => Some(value.to_owned()),
            Some(why) => {
                self.note(full, why);
                None
            }
        }
    }
}

/// The host's name.
pub(super) fn hostname(search: &mut Search) -> Option<String> {
    let refuse = |name: &str| match name {
        "localhost" | "localhost.localdomain" | "(none)" => Some("names no host in particular"),
        _ => None,
    };
    search.value("proc/sys/kernel/hostname", refuse).or_else(|| search.value("etc/hostname", refuse))
}

/// Reads at most `limit` bytes of a text file.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

/// Firmware pads with spaces and ends texts with a zero byte.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}

/// Why a text is no value of a parameter.
pub(super) fn fault(value: &str) -> Option<&'static str> {
    if value.is_empty() {
        Some("empty")
    } else if value.chars().any(char::is_control) {
        Some("has control characters")
    } else if value.chars().count() > MAX_CHARS {
        Some("longer than the 4096 characters of a parameter")
    } else {
        None
    }
}

/// A cause in few words, without the number the system gives it.
pub(super) fn reason(cause: &io::Error) -> String {
    if cause.kind() == io::ErrorKind::NotFound {
        "not there".to_owned()
    } else if cause.kind() == io::ErrorKind::PermissionDenied {
        "permission denied".to_owned()
    } else {
        cause.to_string()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Fact;

    /// Files below a fresh root.
    pub(crate) fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    /// What `fact` is with these files; the error as text, with the root left out.
    #[track_caller]
    pub(crate) fn collected(fact: &str, files: &[(&str, &str)]) -> Result<String, String> {
        let root = root(files);
        let fact: Fact = fact.parse().unwrap();
        let shown = |text: String| text.replace(&root.path().display().to_string(), "");
        fact.collect_below(root.path()).map_err(|error| shown(error.to_string()))
    }

    #[test]
    fn the_kernels_host_name_goes_before_the_files() {
        let (kernel, file) = (("proc/sys/kernel/hostname", "press-3\n"), ("etc/hostname", "other\n"));
        assert_eq!(collected("hostname", &[kernel, file]).unwrap(), "press-3");
        assert_eq!(collected("hostname", &[file]).unwrap(), "other");
        assert_eq!(collected("hostname", &[("proc/sys/kernel/hostname", "localhost\n"), file]).unwrap(), "other");
    }

    #[test]
    fn a_host_without_a_name_is_told_where_was_looked_and_what_helps() {
        let error = collected("hostname", &[("proc/sys/kernel/hostname", "(none)\n")]).unwrap_err();
        assert_eq!(
            error,
            "this machine gives no hostname: looked at /proc/sys/kernel/hostname (names no host in particular), \
             /etc/hostname (not there); give the host a name with hostnamectl, or the parameter a value of its own"
        );
    }

    #[test]
    fn no_value_has_control_characters_or_more_than_a_parameter_takes() {
        let error = |text: &str| collected("hostname", &[("etc/hostname", text)]).unwrap_err();
        assert!(error("a\u{1b}[2Jb").contains("/etc/hostname (has control characters)"));
        assert!(error(&"x".repeat(4097)).contains("longer than the 4096 characters"));
        assert!(error(&"x".repeat(1 << 20)).contains("longer than the 4096 characters"));
        assert!(error(" \n").contains("(empty)"));
        assert_eq!(collected("hostname", &[("etc/hostname", &"x".repeat(4096))]).unwrap().len(), 4096);
    }

    #[test]
    fn a_file_that_is_no_text_is_said_to_be_none() {
        let root = root(&[]);
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/hostname"), [0xff, 0xfe]).unwrap();
        let error = "hostname".parse::<Fact>().unwrap().collect_below(root.path()).unwrap_err();
        assert!(error.to_string().contains("not UTF-8 text"), "{error}");
        assert_eq!(error.places().count(), 2);
        assert_eq!(error.fact().to_string(), "hostname");
    }
}
