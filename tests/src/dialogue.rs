//! A script that is asked on its standard input, a line of JSON for each request, and answers with one each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running script. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Dialogue {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Dialogue {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
        let requests = child.stdin.take().expect("standard input was asked for");
        let answers = BufReader::new(child.stdout.take().expect("standard output was asked for"));
        Self { child, requests, answers }
    }

    /// Asks, and waits for the answer: a script limits its waits itself.
    ///
    /// # Panics
    ///
    /// When the script has ended, or could make nothing of the request: its answer has a member `broken`.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").expect("the script still reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the script still writes");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in `{line}`"));
        assert!(answer["broken"].is_null(), "{request}: {}", answer["broken"]);
        answer
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // Fails only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
