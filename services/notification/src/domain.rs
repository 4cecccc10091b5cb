//! Rules without I/O.

pub(crate) mod delivery;
pub(crate) mod template;
pub(crate) mod variable;
