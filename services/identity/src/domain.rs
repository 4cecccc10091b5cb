//! Rules without I/O.

pub(crate) mod password;
pub(crate) mod scope;
