//! The side of who asks: `aether rotate`, or any other program of the same user.

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    time::timeout,
};

use super::{
    SOCKET,
    protocol::{Answer, MAX_ANSWER, Refusal, Reply, Request},
};
use crate::cloud::IdentityStatus;

#[cfg(unix)]
type Stream = tokio::net::UnixStream;
#[cfg(not(unix))]
type Stream = tokio::io::DuplexStream;

/// Longest wait for the runtime to take a connection, and for what it knows at once.
const SHORT: Duration = Duration::from_secs(10);

/// Longest wait for a rotation; the runtime gives one up after a minute.
const ROTATION: Duration = Duration::from_secs(180);

/// Asks a runtime of the same user that runs in another process. One question a connection.
#[derive(Debug)]
pub struct ControlClient {
    stream: BufReader<Stream>,
    path: PathBuf,
}

/// Why a runtime could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody listens: no runtime runs on that state directory, or it has no cloud side.
    #[error("no runtime answers at {}", .0.display())]
    NotRunning(PathBuf),
    /// The runtime has not done it.
    #[error("{message}")]
    Refused {
        /// What would help.
        kind: Refusal,
        /// What the runtime said.
        message: String,
    },
    /// The connection could not be made, or broke. A rotation that was asked for may go on.
    #[error("could not ask the runtime at {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What came is no answer, as of another version. A rotation that was asked for may go on.
    #[error("the runtime at {} gave no answer that is known here: {problem}", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No answer came in time. A rotation that was asked for may go on.
    #[error("the runtime at {} did not answer within {after:?}", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// The time that was allowed.
        after: Duration,
    },
}

impl ControlClient {
    /// Connects to the runtime that runs on `state_dir`, within 10 s.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotRunning`] if none does, or if it has no control socket; [`ControlError::Io`] if it is
    /// somebody else's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connect(state_dir: impl AsRef<Path>) -> Result<Self, ControlError> {
        let path = state_dir.as_ref().join(SOCKET);
        match within(SHORT, &path, open(&path)).await {
            Ok(stream) => Ok(Self { stream: BufReader::new(stream), path }),
            Err(ControlError::Io { source, path }) if is_absent(source.kind()) => Err(ControlError::NotRunning(path)),
            Err(other) => Err(other),
        }
    }

    /// Asks who the device is.
    ///
    /// # Errors
    ///
    /// [`ControlError`]; [`ControlError::Refused`] if it has no identity yet.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn identity(self) -> Result<IdentityStatus, ControlError> {
        self.ask(Request::Identity, SHORT, |_, _| ()).await
    }

    /// Asks for a new identity, and calls `on_stage` with name and detail of each [`Stage`](crate::Stage) on the way.
    ///
    /// # Errors
    ///
    /// [`ControlError`]; with [`ControlError::Refused`] the identity in use stays.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the rotation goes on without anybody being told.
    pub async fn rotate(self, on_stage: impl FnMut(&str, Option<&str>)) -> Result<IdentityStatus, ControlError> {
        self.ask(Request::Rotate, ROTATION, on_stage).await
    }

    async fn ask(
        self,
        request: Request,
        limit: Duration,
        on_stage: impl FnMut(&str, Option<&str>),
    ) -> Result<IdentityStatus, ControlError> {
        let path = self.path.clone();
        let reply = within(limit, &path, self.exchange(request, on_stage)).await?;
        match reply {
            Answer::Done { ok: Reply::Identity(line) } => Ok(line.into()),
            Answer::Failed { error, kind } => Err(ControlError::Refused { kind, message: error }),
            Answer::Stage { stage, .. } => {
                Err(ControlError::Answer { path, problem: format!("it ends with the stage {stage}") })
            }
        }
    }

    /// The last answer to a request, or an error of `InvalidData` if there is none.
    async fn exchange(mut self, request: Request, mut on_stage: impl FnMut(&str, Option<&str>)) -> io::Result<Answer> {
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).await?;
        loop {
            line.clear();
            (&mut self.stream).take(MAX_ANSWER).read_until(b'\n', &mut line).await?;
            if line.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match serde_json::from_slice(&line)? {
                Answer::Stage { stage, detail } => on_stage(&stage, detail.as_deref()),
                last @ (Answer::Done { .. } | Answer::Failed { .. }) => return Ok(last),
            }
        }
    }
}

async fn within<T>(limit: Duration, path: &Path, work: impl Future<Output = io::Result<T>>) -> Result<T, ControlError> {
    let path = path.to_owned();
    match timeout(limit, work).await {
        Err(_) => Err(ControlError::Silent { path, after: limit }),
        Ok(Ok(done)) => Ok(done),
        Ok(Err(cause)) if cause.get_ref().is_some_and(|inner| inner.is::<serde_json::Error>()) => {
            Err(ControlError::Answer { path, problem: cause.to_string() })
        }
        Ok(Err(source)) => Err(ControlError::Io { path, source }),
    }
}

/// Whether nobody listens. `InvalidInput` means a path longer than one of a socket may be.
fn is_absent(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidInput)
}

#[cfg(unix)]
async fn open(path: &Path) -> io::Result<Stream> {
    Stream::connect(path).await
}

#[cfg(not(unix))]
async fn open(_path: &Path) -> io::Result<Stream> {
    Err(io::ErrorKind::NotFound.into())
}
