use super::check::Violation;

/// The parts of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source<'a> {
    /// What is behind `Subject:`.
    pub subject: &'a str,
    pub body: &'a str,
    /// The line that the body begins at, counted from 1.
    pub body_line: usize,
}

impl<'a> Source<'a> {
    /// Parses: the first line is `Subject: …`, the second is empty, the rest is the body.
    pub(super) fn parse(text: &'a str) -> Result<Self, Violation> {
        let wrong = |line, what: &str| Violation { line, what: what.to_owned() };
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let Some(subject) = first.strip_prefix("Subject:").map(str::trim) else {
            return Err(wrong(1, "expected `Subject: ` and the subject"));
        };
        if subject.is_empty() {
            return Err(wrong(1, "expected a subject"));
        }
        let (second, body) = rest.split_once('\n').unwrap_or((rest, ""));
        if !second.trim().is_empty() {
            return Err(wrong(2, "expected an empty line between the subject and the body"));
        }
        if body.trim().is_empty() {
            return Err(wrong(3, "expected a body"));
        }
        Ok(Self { subject, body, body_line: 3 })
    }
}
