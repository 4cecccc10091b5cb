//! The tables, and the finders that carry their tenant.

pub(crate) mod ancestor;
pub(crate) mod invitation;
pub(crate) mod membership;
pub(crate) mod membership_role;
pub(crate) mod organisation;
pub(crate) mod person;
