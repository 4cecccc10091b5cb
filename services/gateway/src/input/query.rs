use axum::{
    extract::{FromRequestParts, Query as Pairs},
    http::request::Parts,
};
use kernel::Fields;
use prost_types::Timestamp;

use super::{Words, parse_word};
use crate::{problem::Problem, timestamp::parse_stamp};

/// The parameters in a request's query. Those that nobody asks for are ignored.
///
/// Errors: a parameter that is wrong, or given twice, is noted among the [`Fields`].
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    pub fields: Fields,
}

impl Query {
    /// A text; empty if it is left out.
    pub fn text(&mut self, name: &str) -> String {
        let mut given = self.pairs.iter().filter(|(given, _)| given == name);
        let text = given.next().map(|(_, text)| text.clone()).unwrap_or_default();
        if given.next().is_some() {
            // Whoever checks the first and whoever uses the last would not mean the same.
            self.fields.reject(name, "expected one value");
        }
        text
    }

    /// A whole number; 0 if it is left out.
    pub fn number(&mut self, name: &str) -> i32 {
        let text = self.text(name);
        if text.is_empty() {
            return 0;
        }
        text.parse().unwrap_or_else(|_| {
            self.fields.reject(name, "expected a whole number");
            0
        })
    }

    /// `true` or `false`; no if it is left out.
    pub fn flag(&mut self, name: &str) -> bool {
        self.one_of(name, &[("true", true), ("false", false)])
    }

    /// A moment; nothing if it is left out.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text(name);
        self.fields.read_optional(name, &text, parse_stamp).flatten()
    }

    /// One of a few words; the default if it is left out.
    pub fn one_of<T: Copy + Default>(&mut self, name: &str, words: &Words<T>) -> T {
        let text = self.text(name);
        let parsed = self.fields.read_optional(name, &text, |text| parse_word(text, words));
        parsed.flatten().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Pairs::from_request_parts(parts, state).await {
            Ok(Pairs(pairs)) => Ok(Self { pairs, fields: Fields::default() }),
            Err(_) => Err(Problem::malformed("The query cannot be read.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_parameter_is_named() {
        let pairs =
            [("page_size", "many"), ("status", "lost"), ("id", "1"), ("id", "2"), ("x", "")];
        let pairs = pairs.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
        let mut query = Query { pairs, fields: Fields::default() };
        assert_eq!(query.number("page_size"), 0);
        assert_eq!(query.one_of("status", &[("pending", 1), ("accepted", 2)]), 0);
        assert_eq!((query.text("id"), query.text("page_token")), ("1".to_owned(), String::new()));
        assert_eq!(
            query.fields.to_string(),
            "page_size: expected a whole number; status: expected one of pending, accepted; \
             id: expected one value"
        );
    }
}
