//! Files that are either there whole or not at all.
