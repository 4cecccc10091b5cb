//! What callers send, as types. Reading never stops at the first violation.

mod body;
mod change;
mod id;
mod query;

pub(crate) use body::Object;
pub(crate) use change::Change;
pub(crate) use id::{Id, Ids};
pub(crate) use query::Query;

use kernel::Fields;

use crate::problem::Problem;

/// The words that an API has for the values of an enumeration.
pub(crate) type Words<T> = [(&'static str, T)];

/// Goes on if nothing was noted, and otherwise answers all that was.
pub(crate) fn accept<const N: usize>(noted: [Fields; N]) -> Result<(), Problem> {
    let violations: Vec<_> = noted.iter().flat_map(Fields::violations).cloned().collect();
    if violations.is_empty() { Ok(()) } else { Err(Problem::invalid(violations)) }
}

/// What query and body may each leave out, but must not disagree about: whoever looked at one of them
/// only, to allow or to log the call, would have been misled (threat t10).
pub(crate) fn the_one_named(name: &str, query: &mut Query, body: &mut Object) -> String {
    let (in_query, in_body) = (query.text(name), body.text(name));
    if !in_query.is_empty() && !in_body.is_empty() && !in_query.eq_ignore_ascii_case(&in_body) {
        body.fields.reject(name, "expected the same in the query and in the body");
    }
    if in_body.is_empty() { in_query } else { in_body }
}

/// The value of a word, or what would have been one.
fn parse_word<T: Copy>(text: &str, words: &Words<T>) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("expected one of {}", words.join(", "))
    })
}

/// The word for a value; `unknown` for one of a newer service.
pub(crate) fn word_of<T: PartialEq>(value: T, words: &Words<T>) -> &'static str {
    let found = words.iter().find(|(_, known)| *known == value);
    found.map_or("unknown", |(word, _)| word)
}
