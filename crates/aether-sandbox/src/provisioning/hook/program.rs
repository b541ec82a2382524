//! Hooks that are programs.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::{HookError, MAX_ANSWER};

/// How much of a failed hook's complaints goes to the log, in bytes.
const MAX_COMPLAINT: usize = 1024;

/// Runs the program with `event` on its standard input; gives what it wrote. Dropped, it kills the
/// program and all it has started, but for what has left its process group.
pub(super) async fn run(path: &Path, event: &[u8]) -> Result<Vec<u8>, HookError> {
    let failed = |source| HookError::Run { what: path.display().to_string(), source };
    let mut child = Command::new(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    // After `child`, so that it is dropped before it: as long as nobody has asked how the program ended, its
    // number is nobody else's.
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // At the same time: a program may write before it has read everything, or never read at all. One
    // that says too much ends all three, and is killed with `child`.
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that closes its input has heard enough.
            let _ = stdin.write_all(event).await;
        }
        Ok(())
    };
    let answered = async {
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MAX_ANSWER as u64 + 1).read_to_end(&mut answer).await.map_err(failed)?;
        }
        if answer.len() > MAX_ANSWER { Err(HookError::TooLong) } else { Ok(answer) }
    };
    let ((), answer, complaint) = tokio::try_join!(write, answered, async { Ok(complaint(stderr).await) })?;
    let status = child.wait().await.map_err(failed)?;
    group.0 = None;
    if status.success() {
        return Ok(answer);
    }
    let said = match complaint.trim() {
        "" => String::new(),
        said => format!(": {said:?}"),
    };
    Err(HookError::Failed { status: status.to_string(), said })
}

/// A process group that ends when this is dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The beginning of what a program complains of. The rest is read as well, or it could not go on.
async fn complaint(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    let Some(mut stderr) = stderr else { return String::new() };
    while let Ok(length @ 1..) = stderr.read(&mut part).await {
        let room = MAX_COMPLAINT.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&part[..room]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
