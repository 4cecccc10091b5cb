//! The tree: roots and sub-organisations.

pub(crate) mod archive;
pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod get_path;
pub(crate) mod list;
pub(crate) mod preview_move;
pub(crate) mod relocate;
pub(crate) mod restore;
pub(crate) mod update;

#[cfg(test)]
pub(crate) mod tests;
