//! Memberships: who belongs where.

pub(crate) mod list;
