//! Tables, with the questions that several use cases ask of them.

pub(crate) mod access_request;
pub(crate) mod ancestor;
pub(crate) mod application;
pub(crate) mod application_access;
pub(crate) mod audit_chain;
pub(crate) mod audit_record;
pub(crate) mod invitation;
pub(crate) mod invitation_policy;
pub(crate) mod membership;
pub(crate) mod membership_role;
pub(crate) mod organisation;
pub(crate) mod organisation_word;
pub(crate) mod person;
pub(crate) mod reach;
pub(crate) mod relocation;
pub(crate) mod role;
pub(crate) mod role_use;
