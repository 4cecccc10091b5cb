//! Rules without I/O.

pub(crate) mod bounce;
pub(crate) mod delivery;
pub(crate) mod place;
pub(crate) mod status;
pub(crate) mod template;
pub(crate) mod variable;
