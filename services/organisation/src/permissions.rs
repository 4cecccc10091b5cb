//! Permissions: what somebody may do.

pub(crate) mod check;
