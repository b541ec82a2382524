//! Where the value of a template parameter comes from.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::{Fact, FactError};

/// Longest value of a template parameter, in characters (AWS IoT API Reference, "RegisterThing").
pub(super) const MAX_CHARS: usize = 4096;

/// The source of one template parameter's value.
///
/// ```
/// use aether_provisioning::Parameter;
///
/// let line = Parameter::Literal("7".into());
/// assert_eq!(line.resolve()?, "7");
/// # Ok::<(), aether_provisioning::ParameterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parameter {
    /// This text.
    Literal(String),
    /// The text of a file, such as one that was written when the device was made. One newline at its end is left out.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
    /// Something the device knows about itself.
    Fact(Fact),
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Literal(text.to_owned())
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self::Literal(text)
    }
}

impl From<Fact> for Parameter {
    fn from(fact: Fact) -> Self {
        Self::Fact(fact)
    }
}

/// Why a template parameter has no value.
///
/// The text found is never part of it: whoever names the wrong file must not find its content in a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The environment variable is not set, or is not text.
    #[error("environment variable {name} is not set to a text")]
    Env {
        /// The variable.
        name: String,
    },
    /// The value is empty.
    #[error("{place} is empty, expected a value")]
    Empty {
        /// Where it was read.
        place: String,
    },
    /// The value is longer than a parameter may be.
    #[error("{place} has more than {MAX_CHARS} characters, the most a template parameter may have")]
    TooLong {
        /// Where it was read.
        place: String,
    },
    /// The device does not have the fact.
    #[error("could not collect what the device knows about itself")]
    Fact(#[source] FactError),
}

impl Parameter {
    /// The value, read now: a file or fact may have changed since the last time.
    ///
    /// # Errors
    ///
    /// There is none, or it is longer than the 4096 characters of a template parameter. Only a literal may be empty.
    pub fn resolve(&self) -> Result<String, ParameterError> {
        self.resolve_with(|name| std::env::var(name).ok())
    }

    /// As [`resolve`](Self::resolve), with environment variables looked up by `environment`.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub fn resolve_with(&self, environment: impl Fn(&str) -> Option<String>) -> Result<String, ParameterError> {
        let (value, place) = match self {
            Self::Literal(text) => (text.clone(), "the value in the settings".to_owned()),
            Self::File(path) => (self.read(path)?, format!("file {}", path.display())),
            Self::Env(name) => {
                let value = environment(name).ok_or_else(|| ParameterError::Env { name: name.clone() })?;
                (value, format!("environment variable {name}"))
            }
            Self::Fact(fact) => (fact.collect().map_err(ParameterError::Fact)?, format!("fact {fact}")),
        };
        if value.is_empty() && !matches!(self, Self::Literal(_)) {
            return Err(ParameterError::Empty { place });
        }
        if value.chars().count() > MAX_CHARS {
            return Err(ParameterError::TooLong { place });
        }
        Ok(value)
    }

    fn read(&self, path: &PathBuf) -> Result<String, ParameterError> {
        // The longest value in the longest characters, the newline, and one byte to see that there is more.
        let limit = 4 * MAX_CHARS as u64 + 3;
        let failed = |source| ParameterError::File { path: path.clone(), source };
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
        if bytes.len() as u64 == limit {
            return Err(ParameterError::TooLong { place: format!("file {}", path.display()) });
        }
        let not_text = |_| failed(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"));
        let mut text = String::from_utf8(bytes).map_err(not_text)?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::super::collect::tests::root;
    use super::*;

    fn from_file(text: &[u8]) -> Result<String, ParameterError> {
        let root = root(&[]);
        let path = root.path().join("serial");
        std::fs::write(&path, text).unwrap();
        Parameter::File(path).resolve()
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_newline() {
        assert_eq!(from_file(b"P3-00017\n").unwrap(), "P3-00017");
        assert_eq!(from_file(b"P3-00017\r\n").unwrap(), "P3-00017");
        assert_eq!(from_file(b" a\nb\n\n").unwrap(), " a\nb\n");
    }

    #[test]
    fn a_value_keeps_within_what_a_parameter_takes() {
        assert_eq!(from_file("é".repeat(4096).as_bytes()).unwrap().chars().count(), 4096);
        assert!(matches!(from_file(&[b'x'; 4097]), Err(ParameterError::TooLong { .. })));
        assert!(matches!(from_file(&vec![b'x'; 1 << 20]), Err(ParameterError::TooLong { .. })));
        assert!(matches!(Parameter::Literal("x".repeat(4097)).resolve(), Err(ParameterError::TooLong { .. })));
        assert!(Parameter::File("/dev/zero".into()).resolve().is_err());
    }

    #[test]
    fn only_a_literal_may_be_empty() {
        assert_eq!(Parameter::Literal(String::new()).resolve().unwrap(), "");
        assert!(matches!(from_file(b"\n"), Err(ParameterError::Empty { .. })));
        let set = Parameter::Env("SERIAL".into()).resolve_with(|_| Some(String::new()));
        assert_eq!(set.unwrap_err().to_string(), "environment variable SERIAL is empty, expected a value");
    }

    #[test]
    fn a_variable_is_looked_up_by_its_name() {
        let environment = |name: &str| (name == "SERIAL").then(|| "P3-00017".to_owned());
        assert_eq!(Parameter::Env("SERIAL".into()).resolve_with(environment).unwrap(), "P3-00017");
        let error = Parameter::Env("OTHER".into()).resolve_with(environment).unwrap_err();
        assert_eq!(error.to_string(), "environment variable OTHER is not set to a text");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_its_text_is_not_repeated() {
        let missing = Parameter::File("/no/such/file".into()).resolve().unwrap_err();
        assert_eq!(missing.to_string(), "could not read /no/such/file");
        assert!(missing.source().is_some());
        let binary = from_file(b"secret\xff").unwrap_err();
        assert!(!format!("{binary} {binary:?} {}", binary.source().unwrap()).contains("secret"));
    }
}
