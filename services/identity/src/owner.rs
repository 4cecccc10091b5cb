//! The platform owner: whoever runs the platform, created at the first start.

pub(crate) mod create;
