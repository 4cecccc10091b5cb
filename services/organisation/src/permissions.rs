//! Permissions: what somebody may do.
//!
//! Nothing here is cached: every answer is read from the tables, by one probe of two indexes for each
//! node upward, so that what is taken away is gone for the very next check.

pub(crate) mod batch_check;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod list_permitted;
#[cfg(test)]
mod tests;
