//! The keys that verify access tokens.

pub(crate) mod get_set;
