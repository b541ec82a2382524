//! The side of the runtime: one socket, few connections, short waits.

use std::{
    error::Error,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _},
        net::SocketAddr,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{Mutex, Semaphore, broadcast},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    SOCKET,
    protocol::{Answer, MAX_LINE, Refusal, Reply, Request},
};
use crate::{nexus::NexusHandle, stage::Stage};

/// How many connections are served at once; more wait.
const CONNECTIONS: usize = 8;

/// Longest wait for a request, and for each line of an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause after the system could not take a connection, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves the socket until it is dropped, and removes it then.
#[derive(Debug)]
pub(crate) struct ControlServer {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// Puts the socket into `state_dir`, whose lock the caller holds, in the place of one that a killed process left.
    /// Without one the runtime goes on; why is told to the log.
    pub(crate) fn start(state_dir: &Path, handle: NexusHandle, told: broadcast::Sender<Stage>) -> Option<Self> {
        match bind(state_dir) {
            Ok((path, listener)) => {
                let shared = Shared { handle, told, rotating: Mutex::new(()) };
                Some(Self { path, task: tokio::spawn(serve(listener, Arc::new(shared))) })
            }
            Err(cause) => {
                let path = state_dir.join(SOCKET);
                warn!(path = %path.display(), error = &cause as &dyn Error, "no control socket: `aether rotate` cannot reach this runtime");
                None
            }
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(cause) = fs::remove_file(&self.path) {
            debug!(error = &cause as &dyn Error, "could not remove the control socket");
        }
    }
}

/// Makes the socket in a directory of mode 0700 and moves it to its place when it has its own mode: at no moment can
/// others connect, whatever the umask and the state directory allow.
fn bind(state_dir: &Path) -> io::Result<(PathBuf, UnixListener)> {
    let path = state_dir.join(SOCKET);
    // The limit holds for whoever connects, too.
    SocketAddr::from_pathname(&path)?;
    // Shorter than the name in the end.
    let workshop = state_dir.join(".ctl");
    let draft = workshop.join("s");
    clear(&workshop, &draft)?;
    DirBuilder::new().mode(0o700).create(&workshop)?;
    let bound = UnixListener::bind(&draft).and_then(|listener| {
        fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
        fs::rename(&draft, &path)?;
        Ok(listener)
    });
    clear(&workshop, &draft)?;
    Ok((path, bound?))
}

/// Removes what a kill in the middle of [`bind`] left.
fn clear(workshop: &Path, draft: &Path) -> io::Result<()> {
    for removed in [fs::remove_file(draft), fs::remove_dir(workshop)] {
        match removed {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Shared {
    handle: NexusHandle,
    told: broadcast::Sender<Stage>,
    /// Held by the one who rotates.
    rotating: Mutex<()>,
}

async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Ends with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    if let Err(cause) = answer(stream, &shared).await {
                        debug!(error = &cause as &dyn Error, "a control connection ended early");
                    }
                    drop(place);
                });
            }
            Err(cause) => {
                debug!(error = &cause as &dyn Error, "could not take a control connection");
                sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut client = Client(writer);
    let mut line = Vec::new();
    // One byte more shows that there is too much.
    let mut reader = BufReader::new(reader.take(MAX_LINE + 1));
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    if !line.ends_with(b"\n") {
        return client.refuse(format!("a request is a line of JSON of at most {MAX_LINE} bytes")).await;
    }
    match serde_json::from_slice(&line) {
        Ok(Request::Rotate) => rotate(&mut client, shared).await,
        Ok(Request::Identity) => match shared.handle.identity() {
            Some(status) => client.say(&Answer::Done { ok: Reply::Identity(status.into()) }).await,
            None => client.refuse(NO_IDENTITY.to_owned()).await,
        },
        Err(cause) => client.say(&Answer::Failed { error: cause.to_string(), kind: Refusal::Settings }).await,
    }
}

const NO_IDENTITY: &str = "the device has no identity yet";

async fn rotate(client: &mut Client, shared: &Shared) -> io::Result<()> {
    let Ok(_alone) = shared.rotating.try_lock() else {
        return client.refuse("a rotation is under way".to_owned()).await;
    };
    if shared.handle.identity().is_none() {
        return client.refuse(NO_IDENTITY.to_owned()).await;
    }
    let mut stages = shared.told.subscribe();
    let rotation = shared.handle.rotate();
    tokio::pin!(rotation);
    let rotated = loop {
        tokio::select! {
            biased;
            Ok(stage) = stages.recv() => client.say(&told(&stage)).await?,
            rotated = &mut rotation => break rotated,
        }
    };
    while let Ok(stage) = stages.try_recv() {
        client.say(&told(&stage)).await?;
    }
    let last = match rotated {
        Ok(status) => Answer::Done { ok: Reply::Identity(status.into()) },
        Err(cause) => Answer::Failed { kind: Refusal::from(&cause), error: chain(&cause) },
    };
    client.say(&last).await
}

fn told(stage: &Stage) -> Answer {
    Answer::Stage { stage: stage.name().to_owned(), detail: stage.detail().map(str::to_owned) }
}

/// An error with everything that led to it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Who asked.
struct Client(OwnedWriteHalf);

impl Client {
    async fn say(&mut self, answer: &(impl Serialize + Sync)) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        timeout(PATIENCE, self.0.write_all(&line)).await?
    }

    async fn refuse(&mut self, error: String) -> io::Result<()> {
        self.say(&Answer::Failed { error, kind: Refusal::Failed }).await
    }
}
