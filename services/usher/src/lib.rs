//! The command line and the all-in-one: the only crate that knows several services.

pub mod all_in_one;
pub mod cli;
pub mod client;
pub mod demo;
pub mod migrate;
pub mod serve;
pub mod up;
