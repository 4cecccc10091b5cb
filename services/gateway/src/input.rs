//! What callers send, as types. Reading never stops at the first violation.

mod body;
mod id;
mod query;

pub(crate) use body::Object;
pub(crate) use id::Id;
pub(crate) use query::Query;

use kernel::Fields;

use crate::problem::Problem;

/// Goes on if nothing was noted, and otherwise answers all that was.
pub(crate) fn accept<const N: usize>(noted: [Fields; N]) -> Result<(), Problem> {
    let violations: Vec<_> = noted.iter().flat_map(Fields::violations).cloned().collect();
    if violations.is_empty() { Ok(()) } else { Err(Problem::invalid(violations)) }
}
