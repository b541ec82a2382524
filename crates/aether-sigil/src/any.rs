//! The shared cell behind every Sigil, without its Rust type: what protocol layers work with.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::{
    definition::{Definition, SigilId, WriteError},
    event::{EventSink, Operation, Origin, SigilEvent},
    sample::{Sample, StatusCode},
    timestamp::Timestamp,
    value::Value,
};

/// A Sigil whose type is known at run time only. Clones share the same variable.
#[derive(Clone)]
pub struct AnySigil {
    cell: Arc<Cell>,
}

struct Cell {
    definition: Arc<Definition>,
    sample: Mutex<Sample>,
    sink: OnceLock<Arc<dyn EventSink>>,
    listener: OnceLock<Arc<dyn ChangeListener>>,
}

/// Hears of every change of the Sigils it is attached to.
///
/// Called while the Sigil is locked, so that changes of one Sigil arrive in order. It must return
/// quickly and must not touch a Sigil.
pub trait ChangeListener: fmt::Debug + Send + Sync {
    /// Takes the new sample.
    fn changed(&self, sigil: &Definition, sample: &Sample);
}

impl AnySigil {
    pub(crate) fn new(definition: Definition, initial: Value) -> Self {
        let sample = Mutex::new(Sample::good(initial, Timestamp::now()));
        let (sink, listener) = (OnceLock::new(), OnceLock::new());
        Self { cell: Arc::new(Cell { definition: Arc::new(definition), sample, sink, listener }) }
    }

    /// Returns what the Sigil is.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.cell.definition
    }

    /// Returns the stable key.
    pub fn id(&self) -> &SigilId {
        self.cell.definition.id()
    }

    /// Returns the present sample **without** an event: for the runtime's own use, such as the
    /// first value of a subscription.
    pub fn sample(&self) -> Sample {
        self.lock().clone()
    }

    /// Looks at the present sample, without an event, while nobody can write: so that what `look`
    /// finds elsewhere (how many changes a listener has heard of, say) belongs to this sample.
    ///
    /// `look` must return quickly and must not touch a Sigil.
    pub fn with_sample<R>(&self, look: impl FnOnce(&Sample) -> R) -> R {
        look(&self.lock())
    }

    /// Reads the Sigil and reports one `read` event.
    pub fn read_from(&self, origin: &Origin) -> Sample {
        let sample = self.lock();
        self.report(Operation::Read, &sample.value, origin);
        sample.clone()
    }

    /// Writes the Sigil through the write gate and reports one `write` event.
    ///
    /// `source_timestamp` is when the value was taken at its source; a time in the future is
    /// replaced by now, so that nobody can silence subscribers by a stamp far ahead.
    ///
    /// # Errors
    ///
    /// A rule of the write gate refused the value; the Sigil keeps what it had.
    pub fn write_from(
        &self,
        value: Value,
        source_timestamp: Option<Timestamp>,
        origin: &Origin,
    ) -> Result<(), WriteError> {
        self.cell.definition.admit(&value, origin)?;
        let mut sample = self.lock();
        let now = Timestamp::now();
        *sample = Sample::good(value, source_timestamp.map_or(now, |at| at.min(now)));
        self.report(Operation::Write, &sample.value, origin);
        self.notify(&sample);
        Ok(())
    }

    /// Changes how good the value is and keeps the value. Subscribers see it; no event is made.
    pub fn set_status(&self, status: StatusCode) {
        let mut sample = self.lock();
        if sample.status != status {
            sample.status = status;
            sample.source_timestamp = Timestamp::now();
            self.notify(&sample);
        }
    }

    /// Attaches the sink that takes this Sigil's events from now on.
    ///
    /// # Errors
    ///
    /// The Sigil has a sink already: it belongs to another runtime.
    pub fn attach_sink(&self, sink: Arc<dyn EventSink>) -> Result<(), AlreadyAttached> {
        self.cell.sink.set(sink).map_err(|_| AlreadyAttached { sigil: self.id().clone() })
    }

    /// Attaches the listener that hears of this Sigil's changes from now on.
    ///
    /// # Errors
    ///
    /// The Sigil has a listener already: it belongs to another server.
    pub fn attach_listener(&self, listener: Arc<dyn ChangeListener>) -> Result<(), AlreadyAttached> {
        self.cell.listener.set(listener).map_err(|_| AlreadyAttached { sigil: self.id().clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Sample> {
        // A sink or listener that panicked leaves a whole sample behind: it is replaced at once.
        self.cell.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, operation: Operation, value: &Value, origin: &Origin) {
        if let Some(sink) = self.cell.sink.get() {
            sink.accept(SigilEvent {
                sigil: Arc::clone(&self.cell.definition),
                value: value.clone(),
                timestamp: Timestamp::now(),
                operation,
                origin: origin.clone(),
            });
        }
    }

    fn notify(&self, sample: &Sample) {
        if let Some(listener) = self.cell.listener.get() {
            listener.changed(&self.cell.definition, sample);
        }
    }
}

impl fmt::Debug for AnySigil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnySigil").field("definition", &self.cell.definition).finish_non_exhaustive()
    }
}

/// Why a Sigil could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The value is bad; a later read may succeed.
    #[error("sigil `{sigil}` has no good value: {status}")]
    Bad {
        /// The Sigil.
        sigil: SigilId,
        /// How bad it is.
        status: StatusCode,
    },
}

/// A Sigil that already has a sink or listener: it belongs to another runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sigil `{sigil}` already belongs to a running nexus or server")]
pub struct AlreadyAttached {
    sigil: SigilId,
}
