//! Invitations: the main job.

pub(crate) mod accept;
pub(crate) mod create;
pub(crate) mod decline;
pub(crate) mod expire;
pub(crate) mod get;
pub(crate) mod get_mail;
pub(crate) mod import;
pub(crate) mod inspect_link;
pub(crate) mod list;
pub(crate) mod list_own;
pub(crate) mod reissue;
pub(crate) mod remind;
pub(crate) mod revoke;
#[cfg(test)]
mod tests;
pub(crate) mod update;
