//! Rules without I/O.

pub(crate) mod access_request;
pub(crate) mod address;
pub(crate) mod invitation;
pub(crate) mod permission;
pub(crate) mod rights;
pub(crate) mod role;
