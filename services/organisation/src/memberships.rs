//! Memberships: who belongs where.
//!
//! Whoever changes one must hold every permission of its roles, those before and those after; and
//! nobody gives themselves a permission or longer time, whatever they hold.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod keep_time;
pub(crate) mod list;
pub(crate) mod list_own;
pub(crate) mod remove;
pub(crate) mod resume;
pub(crate) mod suspend;
#[cfg(test)]
mod tests;
pub(crate) mod update;
