//! What a hook is: a program, a URL or a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hyper::Uri;

/// A pre-provisioning hook, standing in for the Lambda function of a template.
///
/// As a text, the form of settings: `exec:PATH`, `http://HOST[:PORT]/PATH` or `allow-list:PATH`.
///
/// Every kind is asked at each `RegisterThing` with a valid ownership token, before anything is
/// created, and has the time limit of [`SandboxBuilder::hook_time_limit`](crate::SandboxBuilder::hook_time_limit).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProvisioningHook {
    /// An executable, without arguments: reads AWS's event as JSON from its standard input and writes
    /// the answer to its standard output. An exit status other than 0 refuses. When its time is over
    /// it is killed; processes it started are not.
    Program(PathBuf),
    /// A URL, plain HTTP: gets the event as the body of a POST and answers with status 200.
    Http(HttpTarget),
    /// A JSON file with the values one parameter may have, read anew for each request:
    ///
    /// ```json
    /// { "parameter": "SerialNumber", "values": ["P3-00017", "P3-00018"] }
    /// ```
    AllowList(PathBuf),
}

/// The URL of an HTTP hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    uri: Uri,
}

/// A text that names no hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hook is {found:?}, expected exec:PATH, http://HOST[:PORT]/PATH or allow-list:PATH")]
pub struct InvalidHook {
    found: String,
}

impl HttpTarget {
    /// Host without brackets, and port.
    pub(super) fn address(&self) -> (&str, u16) {
        let host = self.uri.host().unwrap_or_default();
        (host.trim_start_matches('[').trim_end_matches(']'), self.uri.port_u16().unwrap_or(80))
    }

    /// Host and port as the `Host` header has them.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

impl FromStr for ProvisioningHook {
    type Err = InvalidHook;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHook { found: text.to_owned() };
        let path = |path: &str| match path.is_empty() {
            true => Err(invalid()),
            false => Ok(Path::new(path).to_owned()),
        };
        match text.split_once(':') {
            Some(("exec", program)) => path(program).map(Self::Program),
            Some(("allow-list", file)) => path(file).map(Self::AllowList),
            Some(("http", _)) => {
                let uri: Uri = text.parse().map_err(|_| invalid())?;
                let good = uri.host().is_some_and(|host| !host.is_empty())
                    && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
                if good { Ok(Self::Http(HttpTarget { uri })) } else { Err(invalid()) }
            }
            Some(_) | None => Err(invalid()),
        }
    }
}

impl fmt::Display for ProvisioningHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(path) => write!(f, "exec:{}", path.display()),
            Self::Http(target) => target.fmt(f),
            Self::AllowList(path) => write!(f, "allow-list:{}", path.display()),
        }
    }
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_read_as_it_is_written() {
        for text in ["exec:/usr/bin/hook", "allow-list:serials.json", "http://127.0.0.1:8080/hook?x=1", "http://[::1]/"]
        {
            assert_eq!(text.parse::<ProvisioningHook>().unwrap().to_string(), text);
        }
        let Ok(ProvisioningHook::Http(target)) = "http://[::1]:81/a?b".parse() else { panic!("no HTTP hook") };
        assert_eq!((target.address(), target.authority(), target.path()), (("::1", 81), "[::1]:81", "/a?b"));
    }

    #[test]
    fn what_is_no_hook_is_refused_with_the_forms_there_are() {
        for text in ["", "exec:", "allow-list:", "https://host/", "http://", "http://u:p@host/", "/bin/hook", "ftp://x"]
        {
            let said = text.parse::<ProvisioningHook>().unwrap_err().to_string();
            assert!(said.contains(&format!("{text:?}")) && said.contains("exec:PATH"), "{said}");
        }
    }
}
