//! The tables.

pub(crate) mod delivery;
