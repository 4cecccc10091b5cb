//! What `cargo xtask` is made of. Tests of faults start servers of their own with it.

pub mod group;
pub mod interruption;
pub mod program;
pub mod programs;
pub mod progress;
pub mod servers;
pub mod test;
mod totals;
