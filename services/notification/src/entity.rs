//! The tables.

pub(crate) mod attempt;
pub(crate) mod dead_letter;
pub(crate) mod delivery;
pub(crate) mod sender;
pub(crate) mod suppression;
pub(crate) mod template;
