//! Periodic async tasks with an absolute schedule and honest timing.
