//! The configuration file: one TOML file that describes a whole runtime.
//!
//! `docs/aether.example.toml` is the annotated example. Paths are relative to the file.

mod aws_iot;
mod duration;
mod file;
mod load;
mod value;

pub use duration::{InvalidDuration, parse_duration};
pub use load::ConfigError;
