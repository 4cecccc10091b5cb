//! Roles: named sets of permissions, of a root or of an application.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod list_permissions;
pub(crate) mod update;

#[cfg(test)]
mod tests;
