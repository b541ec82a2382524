//! Points in time as the account keeps them.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Millis(u64);

impl Millis {
    pub(crate) fn as_u64(self) -> u64 {
        self.0
    }

    /// Seconds with three decimals, the form of AWS's REST-JSON protocol.
    pub(crate) fn as_seconds(self) -> f64 {
        Duration::from_millis(self.0).as_secs_f64()
    }

    pub(crate) fn after(self, life: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl From<SystemTime> for Millis {
    /// Times before 1970 count as 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Millis> for SystemTime {
    fn from(time: Millis) -> Self {
        Self::UNIX_EPOCH.checked_add(Duration::from_millis(time.0)).unwrap_or(Self::UNIX_EPOCH)
    }
}
