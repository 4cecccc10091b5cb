//! Use cases about senders, one a file, and what they share.

pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod update;

#[cfg(test)]
mod tests;

/// A version as callers see it.
fn etag(version: i32) -> String {
    format!("v{version}")
}
