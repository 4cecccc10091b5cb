//! The tables.

pub(crate) mod attempt;
pub(crate) mod delivery;
pub(crate) mod suppression;
