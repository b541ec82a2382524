//! What a Weave is before it runs: label, cycle time, callback.

use std::{error::Error, fmt, future::Future, pin::Pin, str::FromStr, sync::Arc, time::Duration};

/// What a callback may return instead of success: any error, or a text.
pub type CallbackError = Box<dyn Error + Send + Sync>;

pub(crate) type Cycle = Pin<Box<dyn Future<Output = Result<(), CallbackError>> + Send>>;
pub(crate) type Callback = Box<dyn FnMut() -> Cycle + Send>;

/// The name of a Weave, unique within its set.
///
/// Always 1 to 128 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidWeave;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(InvalidWeave::Label { found: text.to_owned() }) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Code that runs on a fixed cycle.
#[must_use = "a Weave runs only in a `WeaveSet` that was started"]
pub struct Weave {
    pub(crate) label: Label,
    pub(crate) cycle_time: Duration,
    pub(crate) description: Option<Box<str>>,
    pub(crate) callback: Callback,
}

impl Weave {
    /// The shortest and the longest cycle time.
    pub const CYCLE_TIME: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

    /// Starts a Weave that calls `callback` once every `cycle_time` (1 ms to 24 h).
    ///
    /// The first call comes as soon as the set is started. The callback must not block its
    /// thread; the future it returns may wait as long as it likes: a release that falls into that
    /// time is skipped.
    pub fn builder<F, R, E>(label: &str, cycle_time: Duration, mut callback: F) -> WeaveBuilder
    where
        F: FnMut() -> R + Send + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<CallbackError>,
    {
        let callback: Callback = Box::new(move || {
            let cycle = callback();
            Box::pin(async move { cycle.await.map_err(Into::into) })
        });
        WeaveBuilder { label: label.to_owned(), cycle_time, description: None, callback }
    }

    /// Returns the name.
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// Returns the period.
    pub const fn cycle_time(&self) -> Duration {
        self.cycle_time
    }
}

impl fmt::Debug for Weave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Weave");
        debug.field("label", &self.label).field("cycle_time", &self.cycle_time);
        debug.field("description", &self.description).finish_non_exhaustive()
    }
}

/// Describes a [`Weave`] before it is made.
#[must_use = "a builder does nothing until `build` is called"]
pub struct WeaveBuilder {
    label: String,
    cycle_time: Duration,
    description: Option<Box<str>>,
    callback: Callback,
}

impl WeaveBuilder {
    /// Text for people and tools. Default: none.
    pub fn description(mut self, description: &str) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Makes the Weave.
    ///
    /// # Errors
    ///
    /// The label or the cycle time is outside its range.
    pub fn build(self) -> Result<Weave, InvalidWeave> {
        let Self { label, cycle_time, description, callback } = self;
        let label = label.parse()?;
        if !Weave::CYCLE_TIME.contains(&cycle_time) {
            return Err(InvalidWeave::CycleTime { label, found: cycle_time });
        }
        Ok(Weave { label, cycle_time, description, callback })
    }
}

impl fmt::Debug for WeaveBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeaveBuilder").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Why a Weave could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWeave {
    /// The label is empty, too long or holds a control character.
    #[error("weave setting `label`: {found:?} given, expected 1 to 128 characters without control characters")]
    Label {
        /// The label given.
        found: String,
    },
    /// The cycle time is outside its range.
    #[error("weave `{label}` setting `cycle_time`: {found:?} given, expected 1ms to 24h")]
    CycleTime {
        /// The Weave.
        label: Label,
        /// The cycle time given.
        found: Duration,
    },
}
