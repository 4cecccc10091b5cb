//! Service accounts: callers that are not people.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod issue_token;
pub(crate) mod seed;

/// What is kept of a secret.
fn hash(secret: &str) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, secret.as_bytes()).as_ref().to_vec()
}
