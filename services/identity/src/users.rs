//! Users: who exists.

pub(crate) mod create_invited;
pub(crate) mod enrol;
pub(crate) mod get;
pub(crate) mod get_current;
