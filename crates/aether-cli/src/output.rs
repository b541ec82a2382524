//! What is printed on standard output, and where the log goes.

use std::io::{IsTerminal, Write, stderr, stdout};

use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

/// Sends the log to standard error, in colour on a terminal only.
pub(crate) fn start_logging(default_level: &str) {
    let filter = std::env::var("AETHER_LOG").unwrap_or_else(|_| default_level.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(default_level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal()).init();
}

/// Prints stages, events and notes: as text for people, or as JSON for scripts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    json: bool,
    colour: bool,
}

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, colour: !json && stdout().is_terminal() }
    }

    /// A step was reached.
    pub(crate) fn stage(self, name: &str, detail: Option<&str>) {
        match (self.json, detail) {
            (true, Some(detail)) => line(&json!({ "stage": name, "detail": detail }).to_string()),
            (true, None) => line(&json!({ "stage": name }).to_string()),
            (false, detail) => {
                line(format!("{} {name:<20} {}", self.green("✓"), detail.unwrap_or_default()).trim_end());
            }
        }
    }

    /// An event arrived on a topic.
    pub(crate) fn event(self, topic: &str, payload: &[u8]) {
        let event: Value = serde_json::from_slice(payload)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(payload).into_owned()));
        if self.json {
            line(&json!({ "topic": topic, "event": event }).to_string());
        } else {
            line(&format!("{} {topic}  {event}", self.green("→")));
        }
    }

    /// A word to people; scripts do not get it.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            line(text);
        }
    }

    fn green(self, text: &str) -> String {
        if self.colour { format!("\x1b[32m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Prints one line at once. Whoever reads may have gone away: that is no reason to panic.
fn line(text: &str) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
