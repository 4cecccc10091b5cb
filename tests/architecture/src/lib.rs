//! The rules of the house, as checks over `cargo metadata` and the sources.
//!
//! Each check is a function that returns its offences in words, so that its own tests can show
//! that it catches one. `tests/architecture.rs` holds the workspace to them.

pub mod dependencies;
pub mod domain;
pub mod engines;
pub mod sizes;
pub mod sleeps;
pub mod slices;
pub mod source;
pub mod workspace;
