//! A template is tried before it is saved.

use pulldown_cmark::{Options, Parser};

use super::{
    Engine, Error,
    check::{Violation, of_engine},
    html,
    piece::{self, Kind},
    source::Source,
    text,
};
use crate::domain::{
    template::{Language, Template},
    variable::{self, OUTCOMES, Variables},
};

/// Characters that a subject may have.
const LONGEST_SUBJECT: usize = 200;

/// Makes a mail of it, with and without what is optional, and with each way that something may end.
pub(super) fn check(
    engine: &Engine,
    template: Template,
    language: &Language,
    parts: &Source<'_>,
) -> Vec<Violation> {
    let has_outcome = template.variables().iter().any(|it| it.kind == variable::Kind::Outcome);
    let outcomes = if has_outcome { &OUTCOMES[..] } else { &OUTCOMES[..1] };
    let (mut known, mut wrong) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        for with_optional in [true, false] {
            let when = match (with_optional, has_outcome) {
                (true, false) => String::new(),
                (false, false) => " without the optional variables".to_owned(),
                (true, true) => format!(" when `outcome` is {outcome}"),
                (false, true) => {
                    format!(" when `outcome` is {outcome}, without the optional variables")
                }
            };
            let variables = Variables::samples_with(template, outcome, with_optional);
            for found in check_sample(engine, template, language, parts, &variables) {
                // What is always wrong is told once.
                if !known.contains(&found) {
                    wrong.push(Violation { what: format!("{}{when}", found.what), ..found });
                    known.push(found);
                }
            }
        }
    }
    wrong
}

fn check_sample(
    engine: &Engine,
    template: Template,
    language: &Language,
    parts: &Source<'_>,
    variables: &Variables,
) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut reject = |line, what: &str| wrong.push(Violation { line, what: what.to_owned() });
    match engine.0.subject(parts.subject, language, variables) {
        Ok(subject) if subject.is_empty() => reject(1, "there is no subject"),
        Ok(subject) if subject.chars().count() > LONGEST_SUBJECT => {
            reject(1, "expected a subject of at most 200 characters");
        }
        Ok(_) => {}
        Err(error) => {
            let Violation { line, what } = of_error(&error, 1);
            reject(line, &what);
        }
    }
    let body = engine.0.body(parts.body, language, variables).and_then(|body| {
        let events: Vec<_> = Parser::new_ext(&body, Options::empty()).collect();
        html::draw(&events, language.copy_hint())?;
        text::draw(&events)
    });
    match body {
        Ok(text) => {
            for variable in variables.not_shown_in(template, &text) {
                let line = line_of(variable.name, parts);
                reject(line, &format!("the mail does not show `{}`", variable.name));
            }
        }
        Err(error) => {
            let Violation { line, what } = of_error(&error, parts.body_line);
            reject(line, &what);
        }
    }
    wrong
}

fn of_error(error: &Error, first: usize) -> Violation {
    match error {
        Error::Fill(error) => of_engine(error, first),
        Error::Form(violation) => violation.clone(),
        Error::TooDeep => Violation { line: first, what: "expected less nesting".to_owned() },
        Error::NotShown(name) => {
            Violation { line: first, what: format!("the mail does not show `{name}`") }
        }
        Error::TooLarge => Violation { line: first, what: "expected a smaller mail".to_owned() },
    }
}

/// Where a variable is first shown, or else the line that the body begins at.
fn line_of(name: &str, parts: &Source<'_>) -> usize {
    let pieces = piece::cut(parts.body, parts.body_line).unwrap_or_default();
    let shown = pieces.iter().find(|piece| piece.kind == Kind::Variable && piece.inner == name);
    shown.map_or(parts.body_line, |piece| piece.line)
}
