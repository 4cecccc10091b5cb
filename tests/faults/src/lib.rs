//! Faults, brought about on purpose on a platform of real processes and servers, while invitations are
//! made; and the proof that what was acknowledged is mailed once, whatever crashed.
//!
//! - [`faults`]: one fault a file, each with the result that it states.
//! - [`scene`]: the platform, the load and the drain. [`load`]: the client and its ledger.
//! - [`outcome`]: what the two ledgers say of a trial. [`proxy`]: a network that can be cut.
//! - [`visitor`]: people who do something else meanwhile. [`lists`]: what an operator sees.
//! - [`own`]: servers that may be killed.

pub mod faults;
mod lists;
pub mod load;
pub mod outcome;
pub mod own;
pub mod proxy;
pub mod scene;
mod visitor;
