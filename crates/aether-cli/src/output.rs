//! What is printed on standard output, and where the log goes.

use std::io::{IsTerminal, Write, stderr, stdout};

use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::Notify;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Sends the log to standard error, in colour on a terminal only.
pub(crate) fn start_logging(default_level: &str) -> Result<(), Failure> {
    let filter = std::env::var("AETHER_LOG").unwrap_or_else(|_| default_level.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|e| {
        Failure::settings(format!("variable AETHER_LOG: found `{filter}`, expected a level such as info: {e}"))
    })?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal()).init();
    Ok(())
}

/// Told when nobody reads standard output any more.
static READER_GONE: Notify = Notify::const_new();

/// Resolves once nobody reads standard output any more, as with `aether demo | head -1`.
pub(crate) async fn reader_gone() {
    READER_GONE.notified().await;
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

    /// Whether scripts read it.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// A step was reached.
    pub(crate) fn stage(self, name: &str, detail: Option<&str>) {
        if self.json {
            let detail = detail.map(|detail| format!(",\"detail\":{}", json!(detail)));
            line(&format!("{{\"stage\":{}{}}}", json!(name), detail.unwrap_or_default()));
        } else {
            line(format!("{} {name:<20} {}", self.green("✓"), detail.unwrap_or_default()).trim_end());
        }
    }

    /// An event arrived on a topic; it is shown as it came.
    pub(crate) fn event(self, topic: &str, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        // What is not one line of JSON becomes a JSON text, so that a script can read every line.
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok() && !text.contains('\n');
        let event = if is_json { text.into_owned() } else { json!(text).to_string() };
        if self.json {
            line(&format!("{{\"topic\":{},\"event\":{event}}}", json!(topic)));
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

/// Prints one line at once. Whoever reads may have gone away: that is no reason to panic, and a
/// gateway goes on.
pub(crate) fn line(text: &str) {
    let mut out = stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        READER_GONE.notify_one();
    }
}
