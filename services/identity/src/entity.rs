//! The tables.

pub(crate) mod service_account;
pub(crate) mod session;
pub(crate) mod user;
