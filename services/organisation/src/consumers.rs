//! What the service hears from others: one event a file.

pub(crate) mod delivery_changed;
pub(crate) mod invitation_settled;
pub(crate) mod platform_owner_created;
pub(crate) mod words_changed;
