//! Starting a program, waiting for what it prints, and ending it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a condition is looked at while a program prints nothing.
const GLANCE: Duration = Duration::from_millis(25);

/// A program that a test started. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    output: Arc<Output>,
}

/// A line that a program printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it was printed.
    pub stream: Stream,
    /// The line without its end.
    pub text: String,
}

/// One of the two places a program prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two, and a test may want to match both")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

#[derive(Debug)]
struct Output {
    state: Mutex<OutputState>,
    changed: Condvar,
}

#[derive(Debug)]
struct OutputState {
    lines: Vec<Line>,
    /// Streams not yet at their end; at zero the program has ended, or closed both.
    open: u8,
}

impl Program {
    /// Starts `command` with nothing on its standard input, and reads all it prints.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self::start_reading(command, usize::MAX)
    }

    /// As [`start`](Self::start), but closes its standard output after the first line, as `head -1` does.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn start_and_read_one_line(command: &mut Command) -> Self {
        Self::start_reading(command, 1)
    }

    /// Reads at most this many lines of its standard output.
    #[track_caller]
    fn start_reading(command: &mut Command, most: usize) -> Self {
        let name = format!("{command:?}");
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => panic!("could not start {name}: {error}"),
        };
        let state = OutputState { lines: Vec::new(), open: 2 };
        let output = Arc::new(Output { state: Mutex::new(state), changed: Condvar::new() });
        Output::follow(&output, Stream::Out, child.stdout.take().expect("standard output was asked for"), most);
        Output::follow(&output, Stream::Err, child.stderr.take().expect("standard error was asked for"), usize::MAX);
        Self { name, child, output }
    }

    /// All it has printed to `stream` so far.
    #[must_use]
    pub fn lines(&self, stream: Stream) -> Vec<String> {
        let lines = &self.output.lock().lines;
        lines.iter().filter(|line| line.stream == stream).map(|line| line.text.clone()).collect()
    }

    /// Waits for a line, of either stream, that `wanted` accepts, and gives it.
    ///
    /// # Panics
    ///
    /// When none comes `within` that time, or the program ends first. `what` names it in the message.
    #[track_caller]
    pub fn wait_for_line(&self, what: &str, within: Duration, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_until(what, within, || {
            let lines = &self.output.lock().lines;
            lines.iter().find(|line| wanted(&line.text)).map(|line| line.text.clone())
        })
    }

    /// Waits for a stage, as `aether` prints it with `--json`: a line `{"stage": NAME, …}`, which is given.
    ///
    /// # Panics
    ///
    /// As [`wait_for_line`](Self::wait_for_line).
    #[track_caller]
    pub fn wait_for_stage(&self, name: &str, within: Duration) -> serde_json::Value {
        self.wait_until(&format!("stage {name}"), within, || {
            let lines = self.lines(Stream::Out);
            let mut stages = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            stages.find(|line| line["stage"] == name)
        })
    }

    /// The names of all stages it has printed with `--json`, in their order.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        let lines = self.lines(Stream::Out);
        let values = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        values.filter_map(|line| Some(line["stage"].as_str()?.to_owned())).collect()
    }

    /// Waits until `condition` gives something; looks at each new line and in between.
    ///
    /// # Panics
    ///
    /// When it gives nothing `within` that time, or the program ends first. `what` names it in the message.
    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, within: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        loop {
            // Taken before the condition is looked at: the last line of a program that ended counts.
            let ended = self.output.lock().open == 0;
            if let Some(found) = condition() {
                return found;
            }
            if ended {
                panic!("{} ended before {what}; it printed:\n{}", self.name, self.printed());
            }
            if Instant::now() > deadline {
                panic!("no {what} within {within:?}; {} printed:\n{}", self.name, self.printed());
            }
            self.output.wait(GLANCE);
        }
    }

    /// Waits for the program to end by itself.
    ///
    /// # Panics
    ///
    /// When it has not ended `within` that time.
    #[track_caller]
    pub fn wait_for_exit(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            match self.child.try_wait() {
                // Both streams are read to their end, so that what it printed last is there.
                Ok(Some(status)) if self.output.lock().open == 0 => return status,
                Ok(_) => {}
                Err(error) => panic!("could not wait for {}: {error}", self.name),
            }
            if Instant::now() > deadline {
                panic!("{} has not ended within {within:?}; it printed:\n{}", self.name, self.printed());
            }
            self.output.wait(GLANCE);
        }
    }

    /// Kills the program with SIGKILL. What it had printed by then can still be read afterwards.
    ///
    /// # Panics
    ///
    /// When it cannot be killed.
    #[track_caller]
    pub fn kill(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        assert!(killed.is_ok(), "could not kill {}: {killed:?}", self.name);
        while self.output.lock().open > 0 {
            self.output.wait(GLANCE);
        }
    }

    /// Asks the program to end as a service manager does, with SIGTERM.
    ///
    /// # Panics
    ///
    /// When it has ended already.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Asks the program to end as Ctrl-C does, with SIGINT.
    ///
    /// # Panics
    ///
    /// When it has ended already.
    #[track_caller]
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    #[track_caller]
    fn signal(&self, signal: &str) {
        // The program `kill`, for sending a signal by a system call takes unsafe code.
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "could not send SIG{signal} to {}", self.name);
    }

    /// Everything it printed, a line each, standard error marked.
    #[must_use]
    pub fn printed(&self) -> String {
        let mut text = String::new();
        for line in &self.output.lock().lines {
            let mark = match line.stream {
                Stream::Out => "  ",
                Stream::Err => "! ",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{mark}{}", line.text);
        }
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only when the program has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// Reads `source` to its end, or so many lines of it, on a thread of its own, and closes it.
    fn follow(output: &Arc<Self>, stream: Stream, source: impl Read + Send + 'static, most: usize) {
        let output = Arc::clone(output);
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut bytes = Vec::new();
            for _ in 0..most {
                if !source.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                    break;
                }
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                output.lock().lines.push(Line { stream, text });
                output.changed.notify_all();
                bytes.clear();
            }
            drop(source);
            output.lock().open -= 1;
            output.changed.notify_all();
        });
    }

    fn lock(&self) -> MutexGuard<'_, OutputState> {
        // A thread that panicked left whole lines behind, which is all there is to keep.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something new, at most `longest`.
    fn wait(&self, longest: Duration) {
        let waited = self.changed.wait_timeout(self.lock(), longest);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A port on the loopback address that was free a moment ago.
///
/// For programs that take a port in their settings and cannot tell which one they were given. Another
/// program can take it in between; the operating system hands out ports in an order that makes it unlikely.
///
/// # Panics
///
/// When no port is free.
#[must_use]
#[track_caller]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback address");
    listener.local_addr().expect("a bound socket has an address").port()
}

#[cfg(test)]
mod test {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Program {
        Program::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_line_is_found_on_either_stream_and_the_streams_stay_apart() {
        let mut program = shell("echo one; echo two >&2; echo three");
        assert_eq!(program.wait_for_line("two", SOON, |line| line == "two"), "two");
        assert!(program.wait_for_exit(SOON).success());
        assert_eq!(program.lines(Stream::Out), ["one", "three"]);
        assert_eq!(program.lines(Stream::Err), ["two"]);
    }

    #[test]
    fn a_stage_is_found_among_other_lines() {
        let program = shell(r#"echo hello; echo '{"stage":"one"}'; echo '{"stage":"two","detail":"x"}'"#);
        assert_eq!(program.wait_for_stage("two", SOON)["detail"], "x");
    }

    #[test]
    fn a_program_of_which_one_line_is_read_cannot_print_more() {
        let script = "trap '' PIPE; echo one; while echo more 2>/dev/null; do :; done; exit 7";
        let mut program = Program::start_and_read_one_line(Command::new("sh").args(["-c", script]));
        assert_eq!(program.wait_for_exit(SOON).code(), Some(7), "{}", program.printed());
        assert_eq!(program.lines(Stream::Out), ["one"]);
    }

    #[test]
    fn a_program_that_ended_too_early_is_told_with_its_words() {
        let program = shell("echo port in use >&2; exit 2");
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            program.wait_for_line("ready", SOON, |line| line == "ready")
        }));
        let message = *panic.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("ended before ready"), "{message}");
        assert!(message.contains("! port in use"), "{message}");
    }

    #[test]
    fn a_line_that_never_comes_is_told_at_the_deadline() {
        let program = shell("echo here; exec sleep 60");
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            program.wait_for_line("ready", Duration::from_millis(50), |line| line == "ready")
        }));
        let message = *panic.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("no ready within 50ms"), "{message}");
    }

    #[test]
    fn signals_reach_the_program_and_its_exit_code_comes_back() {
        let mut program = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done");
        program.wait_for_line("ready", SOON, |line| line == "ready");
        program.terminate();
        assert_eq!(program.wait_for_exit(SOON).code(), Some(7));
    }

    #[test]
    fn a_dropped_program_is_gone() {
        let program = shell("echo ready; exec sleep 60");
        program.wait_for_line("ready", SOON, |line| line == "ready");
        let process = program.child.id().to_string();
        drop(program);
        let there = Command::new("kill").args(["-s", "0", &process]).output().unwrap();
        assert!(!there.status.success());
    }

    #[test]
    fn a_free_port_can_be_bound() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).is_ok());
    }
}
