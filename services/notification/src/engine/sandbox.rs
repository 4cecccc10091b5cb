//! The sandbox that fills templates: an environment without filters, functions, includes or globals,
//! where every undefined name is an error, with an end to what a template may do and write.

use std::{collections::BTreeMap, io};

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use super::{LARGEST, check::Violation, escape};
use crate::domain::{
    template::Language,
    variable::{self, Variables},
};

/// Steps that one part of a template may take; ours take fewer than a hundred.
const FUEL: u64 = 10_000;

/// The page around the HTML of every mail.
const LAYOUT: &str = include_str!("../../templates/layout.html");

const IN_SUBJECT: &str = "subject";
const IN_BODY: &str = "body";
const IN_LAYOUT: &str = "layout.html";

/// Why a template cannot be filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is not in the form of a template.
    #[error("line {}: {}", .0.line, .0.what)]
    Form(Violation),
    /// It fails.
    #[error(transparent)]
    Fill(#[from] minijinja::Error),
    /// It is nested too deeply.
    #[error("the mail is nested too deeply")]
    TooDeep,
    /// It leaves out what its reader needs.
    #[error("the mail does not show {0}")]
    NotShown(&'static str),
    /// It writes too much.
    #[error("the mail is too large")]
    TooLarge,
}

impl Error {
    /// Which of them, without what a template or a value says.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Form(_) => "its form",
            Self::Fill(_) => "its variables or conditions",
            Self::TooDeep => "its nesting",
            Self::NotShown(_) => "its link or code is not shown",
            Self::TooLarge => "its size",
        }
    }
}

pub(super) struct Sandbox(Environment<'static>);

impl Sandbox {
    pub(super) fn new() -> Result<Self, Error> {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|name| match name {
            IN_SUBJECT => AutoEscape::None,
            IN_BODY => AutoEscape::Custom("markdown".into()),
            _ => AutoEscape::Html,
        });
        // Values are escaped when they are written, not when they are given: so nothing that a
        // template could do with one before takes the escaping off again.
        environment.set_formatter(|out, state, value| {
            if state.name() == IN_LAYOUT {
                return minijinja::escape_formatter(out, state, value);
            }
            let text = value.to_string();
            let written = match state.name() {
                IN_BODY if value.is_safe() => out.write_str(&text),
                IN_BODY => out.write_str(&escape::markdown(&text)),
                _ => out.write_str(&escape::line(&text)),
            };
            written.map_err(minijinja::Error::from)
        });
        environment.add_template(IN_LAYOUT, LAYOUT)?;
        Ok(Self(environment))
    }

    /// Whether it can be understood at all; the error tells the line, counted from 1.
    pub(super) fn parse(&self, part: &str) -> Result<(), minijinja::Error> {
        self.0.template_from_named_str(IN_BODY, part).map(|_| ())
    }

    /// Fills a subject: one line of plain text.
    pub(super) fn subject(
        &self,
        part: &str,
        language: &Language,
        variables: &Variables,
    ) -> Result<String, Error> {
        let subject = self.fill(
            IN_SUBJECT,
            part,
            &values(language, variables, |text| {
                Value::from(text.lines().collect::<Vec<_>>().join(" "))
            }),
        )?;
        Ok(escape::line(&subject).trim().to_owned())
    }

    /// Fills a body: Markdown, in which no element comes from a value, except that what a person wrote
    /// on several lines is a quotation.
    pub(super) fn body(
        &self,
        part: &str,
        language: &Language,
        variables: &Variables,
    ) -> Result<String, Error> {
        self.fill(
            IN_BODY,
            part,
            &values(language, variables, |text| match text {
                // As false as the empty line that is given for what was left out.
                "" => Value::from(""),
                _ => Value::from_safe_string(escape::quotation(text)),
            }),
        )
    }

    /// Puts the page around what a mail says in HTML.
    pub(super) fn layout(
        &self,
        language: &Language,
        subject: &str,
        content: String,
    ) -> Result<String, Error> {
        let values = BTreeMap::from([
            ("language", Value::from(language.tag())),
            ("subject", Value::from(subject)),
            ("content", Value::from_safe_string(content)),
        ]);
        write(&self.0.get_template(IN_LAYOUT)?, &values)
    }

    fn fill(
        &self,
        name: &str,
        part: &str,
        values: &BTreeMap<&str, Value>,
    ) -> Result<String, Error> {
        write(&self.0.template_from_named_str(name, part)?, values)
    }
}

fn values(
    language: &Language,
    variables: &Variables,
    quote: impl Fn(&str) -> Value,
) -> BTreeMap<&'static str, Value> {
    let value = |value: &variable::Value| match value {
        variable::Value::Line(text) => Value::from(text.as_str()),
        variable::Value::Moment(time) => Value::from(language.moment(*time)),
        variable::Value::Quotation(text) => quote(text),
    };
    variables.0.iter().map(|(name, it)| (*name, value(it))).collect()
}

fn write(
    template: &minijinja::Template<'_, '_>,
    values: &BTreeMap<&str, Value>,
) -> Result<String, Error> {
    let mut page = Page(Vec::new());
    template.render_captured_to(Value::from_pairs(values.clone()), &mut page).map_err(|error| {
        match error.kind() {
            ErrorKind::WriteFailure => Error::TooLarge,
            _ => Error::Fill(error),
        }
    })?;
    // What is written is text, and cut nowhere.
    Ok(String::from_utf8_lossy(&page.0).into_owned())
}

struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > 2 * LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the mail is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &str) -> Result<String, Error> {
        let values = BTreeMap::from([("name", Value::from("<b>".repeat(600)))]);
        Sandbox::new().unwrap().fill(IN_BODY, source, &values)
    }

    #[test]
    fn a_template_cannot_loop_for_ever() {
        let digits = "[0,1,2,3,4,5,6,7,8,9]";
        let source = (0..6).fold("x".to_owned(), |body, depth| {
            format!("{{% for i{depth} in {digits} %}}{body}{{% endfor %}}")
        });
        let error = run(&source).unwrap_err();
        let Error::Fill(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), ErrorKind::OutOfFuel);
    }

    #[test]
    fn a_template_cannot_write_for_ever() {
        // 10,000 steps could write 24 MB of these names.
        let error = run(&"{{ name }}".repeat(400)).unwrap_err();
        assert!(matches!(error, Error::TooLarge), "{error}");
    }

    #[test]
    fn a_template_reaches_nothing_but_its_variables() {
        for source in [
            "{{ nobody }}",
            "{{ name.secret.deeper }}",
            "{{ name|safe }}",
            "{{ name|format }}",
            "{{ range(5) }}",
            "{{ debug() }}",
            "{% include 'layout.html' %}",
            "{% extends 'layout.html' %}",
            "{% if nobody %}{% endif %}",
        ] {
            assert!(run(source).is_err(), "{source}");
        }
    }

    #[test]
    fn t09_a_value_is_escaped_whatever_a_template_does_with_it() {
        for source in [
            "{{ name }}",
            "{% autoescape false %}{{ name }}{% endautoescape %}",
            "{% autoescape 'html' %}{{ name }}{% endautoescape %}",
            "{% set copy %}{{ name }}{% endset %}{{ copy }}",
            "{% autoescape false %}{% set copy %}{{ name }}{% endset %}{{ copy }}{% endautoescape %}",
            "{{ (name ~ name)[3:] }}",
            "{% set copy %}{{ name }}{% endset %}{{ copy[1:] }}",
            "{{ '<b>' ~ '\\n# <b>' }}",
        ] {
            let filled = run(source).unwrap();
            let bare = filled.replace("\\<", "").replace("\\>", "").replace("\\\\", "");
            assert!(!bare.contains(['<', '>', '\n']), "{source}: {filled}");
        }
    }
}
