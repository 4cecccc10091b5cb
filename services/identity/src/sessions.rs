//! Sessions: sign-in, refresh, sign-out.

pub(crate) mod create;
pub(crate) mod refresh;
pub(crate) mod revoke_current;
