//! Rules without I/O.

pub(crate) mod access_request;
pub(crate) mod address;
pub(crate) mod callback_url;
pub(crate) mod invitation;
pub(crate) mod invitation_policy;
pub(crate) mod note;
pub(crate) mod permission;
pub(crate) mod rights;
pub(crate) mod role;
