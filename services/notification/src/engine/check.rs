//! What a template is held to before it is saved.

use std::fmt;

use super::{Engine, markup, piece, sample, source::Source};
use crate::domain::template::{Language, Template};

/// Bytes that a template may have.
pub(crate) const LARGEST_SOURCE: usize = 64 * 1024;
/// Violations that are told.
pub(super) const MOST: usize = 50;

/// What is wrong with a line of a template; lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Rule: the form, the variables, the markup, and that a mail can be made of it with and without what
/// is optional, in which what the reader needs is shown.
pub(super) fn check(
    engine: &Engine,
    template: Template,
    language: &Language,
    source: &str,
) -> Vec<Violation> {
    if source.len() > LARGEST_SOURCE {
        let what = format!("expected at most {LARGEST_SOURCE} bytes");
        return vec![Violation { line: 1, what }];
    }
    let mut wrong = Vec::new();
    let is_wrong = |c: char| c.is_control() && c != '\n' && c != '\t';
    for (index, line) in source.split('\n').enumerate() {
        if line.chars().any(is_wrong) {
            let what = "expected no control characters".to_owned();
            wrong.push(Violation { line: index + 1, what });
        }
    }
    let parts = Source::parse(source).unwrap_or_else(|violation| {
        wrong.push(violation);
        // The rest can be looked at all the same.
        Source { subject: "", body: source, body_line: 1 }
    });
    for (part, line) in [(parts.subject, 1), (parts.body, parts.body_line)] {
        match piece::cut(part, line) {
            Ok(pieces) => {
                wrong.extend(piece::check(&pieces, template));
                if line == parts.body_line {
                    wrong.extend(markup::check(&pieces, template, line));
                }
            }
            Err(violation) => wrong.push(violation),
        }
    }
    if wrong.is_empty() {
        wrong.extend(check_syntax(engine, &parts));
    }
    if wrong.is_empty() {
        wrong.extend(sample::check(engine, template, language, &parts));
    }
    wrong.sort();
    wrong.dedup();
    wrong.truncate(MOST);
    wrong
}

fn check_syntax(engine: &Engine, parts: &Source<'_>) -> Vec<Violation> {
    let parts = [(parts.subject, 1), (parts.body, parts.body_line)];
    let failed = parts.into_iter().filter_map(|(part, first)| {
        let error = engine.0.parse(part).err()?;
        Some(of_engine(&error, first))
    });
    failed.collect()
}

pub(super) fn of_engine(error: &minijinja::Error, first: usize) -> Violation {
    let what = match error.kind() {
        minijinja::ErrorKind::OutOfFuel => {
            "expected a template with fewer variables and conditions"
        }
        minijinja::ErrorKind::SyntaxError => error.detail().unwrap_or("a syntax error"),
        _ => "the template fails",
    };
    Violation { line: error.line().unwrap_or(1) + first - 1, what: what.to_owned() }
}
