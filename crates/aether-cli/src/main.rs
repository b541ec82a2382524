//! The `aether` program.
fn main() {}
