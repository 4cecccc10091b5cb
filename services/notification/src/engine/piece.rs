//! What a template is made of besides its text: variables, conditions and comments, and nothing else.

use super::check::Violation;
use crate::domain::{template::Template, variable::Variable};

/// A piece of a template, and the line that it begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub kind: Kind,
    /// What is between the marks; of a text, all of it.
    pub inner: &'a str,
    /// All of it.
    pub raw: &'a str,
    pub line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// `{{ … }}`
    Variable,
    /// `{% … %}`
    Statement,
    /// `{# … #}`
    Comment,
}

/// How deep conditions may be nested.
const DEEPEST: usize = 16;
/// Characters that a condition may have.
const LONGEST: usize = 500;

/// Cuts a part of a template, whose first line has this number, into pieces.
pub(super) fn cut(part: &str, mut line: usize) -> Result<Vec<Piece<'_>>, Violation> {
    let mut pieces = Vec::new();
    let mut rest = part;
    while !rest.is_empty() {
        let begin = rest.find('{').and_then(|first| next_mark(rest, first));
        let (text, behind) = rest.split_at(begin.map_or(rest.len(), |(at, _)| at));
        if !text.is_empty() {
            pieces.push(Piece { kind: Kind::Text, inner: text, raw: text, line });
            line += text.matches('\n').count();
        }
        let Some((_, kind)) = begin else { break };
        let close = match kind {
            Kind::Variable => "}}",
            Kind::Comment => "#}",
            Kind::Text | Kind::Statement => "%}",
        };
        let Some(end) = end_of(behind, close, kind != Kind::Comment) else {
            let what = format!("`{}` is not closed", &behind[..2]);
            return Err(Violation { line, what });
        };
        let (raw, after) = behind.split_at(end + 2);
        pieces.push(Piece { kind, inner: inner(&raw[2..end]), raw, line });
        line += raw.matches('\n').count();
        rest = after;
    }
    Ok(pieces)
}

fn next_mark(text: &str, first: usize) -> Option<(usize, Kind)> {
    let bytes = text.as_bytes();
    (first..bytes.len().saturating_sub(1)).find_map(|at| match &bytes[at..at + 2] {
        b"{{" => Some((at, Kind::Variable)),
        b"{%" => Some((at, Kind::Statement)),
        b"{#" => Some((at, Kind::Comment)),
        _ => None,
    })
}

/// Where the closing mark is; one in a quoted text is none.
fn end_of(text: &str, close: &str, has_texts: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut quote) = (2, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) if has_texts => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(close.as_bytes()) => return Some(at),
            (None, _) => {}
        }
        at += 1;
    }
    None
}

/// Without the signs that take the white space around it away.
fn inner(text: &str) -> &str {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    text.strip_suffix(['-', '+']).unwrap_or(text).trim()
}

/// What is wrong with pieces: a variable stands alone, a statement is a condition, and both know the
/// template's variables and no others. Nothing that computes can be written: so what filling a
/// template costs is bounded by its length.
pub(super) fn check(pieces: &[Piece<'_>], template: Template) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut depth = 0;
    for piece in pieces {
        let found = match piece.kind {
            Kind::Text | Kind::Comment => Ok(()),
            Kind::Variable if is_name(piece.inner) => known(piece.inner, template).map(|_| ()),
            Kind::Variable => Err("expected the name of a variable in `{{ }}`".to_owned()),
            Kind::Statement => statement(piece.inner, template, &mut depth),
        };
        if let Err(what) = found {
            wrong.push(Violation { line: piece.line, what });
        }
    }
    wrong
}

fn statement(text: &str, template: Template, depth: &mut usize) -> Result<(), String> {
    let (word, condition) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match word {
        "if" | "elif" => {
            *depth += usize::from(word == "if");
            if *depth > DEEPEST {
                return Err(format!("expected conditions in no more than {DEEPEST} others"));
            }
            check_condition(condition, template)
        }
        "endif" if condition.is_empty() => {
            *depth = depth.saturating_sub(1);
            Ok(())
        }
        "else" if condition.is_empty() => Ok(()),
        _ => Err("expected `if`, `elif`, `else` or `endif` in `{% %}`".to_owned()),
    }
}

/// The words of a condition; their order is checked when it is compiled.
fn check_condition(condition: &str, template: Template) -> Result<(), String> {
    if condition.len() > LONGEST {
        return Err(format!("expected a condition of at most {LONGEST} characters"));
    }
    let mut rest = condition.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => text_length(rest).ok_or("a text in the condition is not closed")?,
            '=' | '!' if rest[1..].starts_with('=') => 2,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let word = &rest[..end.unwrap_or(rest.len())];
                if !["and", "or", "not"].contains(&word) {
                    known(word, template)?;
                }
                word.len()
            }
            _ => {
                return Err("expected a condition of variables, texts in quotes, `==`, `!=`, \
                            `and`, `or` and `not`"
                    .to_owned());
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(())
}

/// The length of the quoted text that begins here.
fn text_length(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let end = text[1..].find(quote)?;
    // A text with an escape in it is none of ours.
    (!text[1..=end].contains('\\')).then_some(end + 2)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The variable of a name.
pub(super) fn known(name: &str, template: Template) -> Result<&'static Variable, String> {
    let found = template.variables().iter().find(|variable| variable.name == name);
    found.ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        let known: Vec<_> = template.variables().iter().map(|it| it.name).collect();
        format!("there is no variable `{name}`, but {}", known.join(", "))
    })
}
