//! The template engine. A template is one text: `Subject: …`, an empty line, and a body in Markdown
//! (CommonMark). It is filled in a sandbox, because tenants override templates and nothing in one may
//! read, loop or grow its way out; then the filled Markdown is drawn twice, as HTML and as text.
//!
//! - [`source`]: the parts of a template. [`sandbox`]: fills them. [`escape`]: what keeps a value from
//!   becoming markup. [`html`] and [`text`]: the two drawings. [`check`]: what a template is held to
//!   before it is saved, with [`piece`], [`markup`] and [`sample`].

mod check;
mod escape;
mod html;
mod markup;
mod piece;
mod sample;
mod sandbox;
mod source;
#[cfg(test)]
mod tests;
mod text;

use pulldown_cmark::{Event, Options, Parser};

pub(crate) use sandbox::Error;

use self::{check::Violation, sandbox::Sandbox, source::Source};
use crate::domain::{
    template::{Language, Template},
    variable::Variables,
};

/// Embeds each template in every language that all come in.
macro_rules! sources {
    ($($template:literal),* $(,)?) => {
        &[$(
            ("en", $template, include_str!(concat!("../templates/en/", $template, ".md"))),
            ("de", $template, include_str!(concat!("../templates/de/", $template, ".md"))),
        )*]
    };
}

/// Every template that Usher comes with: its language, its name, and its text.
const SOURCES: &[(&str, &str, &str)] = sources![
    "invitation-new-user",
    "invitation-existing-user",
    "invitation-reminder",
    "invitation-expired",
    "registration-expired",
    "verification-code",
    "password-changed",
    "anonymous-registration",
    "access-request-received",
    "access-request-asked",
    "access-request-reminded",
    "access-request-decided",
    "access-request-settled",
];

/// The template that Usher comes with, if there is one in the language.
pub(crate) fn built_in(template: Template, language: &Language) -> Option<&'static str> {
    let wanted = (language.tag(), template.key());
    SOURCES.iter().find(|(tag, key, _)| (*tag, *key) == wanted).map(|(.., source)| *source)
}

/// What fills templates.
pub(crate) struct Engine(Sandbox);

/// A filled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Engine {
    /// The engine.
    pub(crate) fn load() -> Result<Self, Error> {
        Ok(Self(Sandbox::new()?))
    }

    /// Fills a template.
    pub(crate) fn render(
        &self,
        source: &str,
        language: &Language,
        variables: &Variables,
    ) -> Result<Rendered, Error> {
        let Source { subject, body, body_line: _ } = Source::parse(source).map_err(Error::Form)?;
        let subject = self.0.subject(subject, language, variables)?;
        let body = self.0.body(body, language, variables)?;
        let events: Vec<Event<'_>> = Parser::new_ext(&body, Options::empty()).collect();
        let content = html::draw(&events, language.copy_hint())?;
        let text = text::draw(&events)?;
        let html = self.0.layout(language, &subject, content)?;
        Ok(Rendered { subject, text, html })
    }

    /// What is wrong with a template that somebody wants to save, in the order of its lines; nothing
    /// if it may be saved.
    pub(crate) fn check(
        &self,
        template: Template,
        language: &Language,
        source: &str,
    ) -> Vec<Violation> {
        check::check(self, template, language, source)
    }
}

/// Output with an end: fuel bounds a template's steps, not what each step writes.
fn write(page: &mut String, more: &str) -> Result<(), Error> {
    if page.len() + more.len() > LARGEST {
        return Err(Error::TooLarge);
    }
    page.push_str(more);
    Ok(())
}

/// Bytes that one part of a mail may have.
const LARGEST: usize = 256 * 1024;
