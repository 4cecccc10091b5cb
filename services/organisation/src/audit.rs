//! The history: what was done and what was refused, each record with its place in a chain.

pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod seal;
#[cfg(test)]
mod tests;
