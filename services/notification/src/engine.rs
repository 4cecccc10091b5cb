//! The template engine, as a sandbox: templates will be overridden by tenants, so nothing in one may
//! read, loop or grow its way out.

use std::{collections::BTreeMap, io};

use minijinja::{AutoEscape, Environment, Error, ErrorKind, HtmlEscape, UndefinedBehavior, Value};

use crate::domain::{
    template::{Language, Template},
    variable::{self, Variables},
};

/// Steps that one template may take; ours take fewer than a hundred.
const FUEL: u64 = 10_000;
/// Bytes that one template may write.
const LARGEST: usize = 256 * 1024;

/// Embeds the files of each template: a subject, a text and an HTML part in every language.
macro_rules! sources {
    ($($template:literal),* $(,)?) => {
        &[
            ("layout.html", include_str!("../templates/layout.html")),
            $(
                sources!(@ "en/", $template, ".subject"),
                sources!(@ "en/", $template, ".txt"),
                sources!(@ "en/", $template, ".html"),
                sources!(@ "de/", $template, ".subject"),
                sources!(@ "de/", $template, ".txt"),
                sources!(@ "de/", $template, ".html"),
            )*
        ]
    };
    (@ $language:literal, $template:literal, $part:literal) => {
        (
            concat!($language, $template, $part),
            include_str!(concat!("../templates/", $language, $template, $part)),
        )
    };
}

/// Every template, and `layout.html`, which frames the HTML parts.
const SOURCES: &[(&str, &str)] = sources![
    "invitation-new-user",
    "invitation-existing-user",
    "invitation-reminder",
    "access-request-received",
    "access-request-asked",
    "access-request-reminded",
    "access-request-decided",
    "access-request-settled",
];

/// The templates, compiled.
pub(crate) struct Engine(Environment<'static>);

/// A filled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Engine {
    /// Compiles the templates.
    pub(crate) fn load() -> Result<Self, Error> {
        let mut environment = sandbox();
        for (name, source) in SOURCES {
            environment.add_template(name, source)?;
        }
        Ok(Self(environment))
    }

    /// Fills a template.
    pub(crate) fn render(
        &self,
        template: Template,
        language: Language,
        variables: &Variables,
    ) -> Result<Rendered, Error> {
        let values = |quote: fn(&str) -> Value| -> BTreeMap<&str, Value> {
            let value = |value: &variable::Value| match value {
                variable::Value::Line(text) => Value::from(text.as_str()),
                variable::Value::Moment(time) => Value::from(language.moment(*time)),
                variable::Value::Quotation(text) => quote(text),
            };
            variables.0.iter().map(|(name, it)| (*name, value(it))).collect()
        };
        let part = |part, values: &BTreeMap<&str, Value>| {
            let name = format!("{}/{}.{part}", language.tag(), template.key());
            fill(&self.0, &name, values)
        };
        let (in_text, mut values) = (values(quoted), values(quoted_in_html));
        let subject = part("subject", &in_text)?.trim().to_owned();
        let text = part("txt", &in_text)?;
        let content = part("html", &values)?;
        // The content is markup by now; its values were escaped when it was filled.
        values.insert("content", Value::from_safe_string(content));
        values.insert("subject", Value::from(subject.as_str()));
        values.insert("language", Value::from(language.tag()));
        let html = fill(&self.0, "layout.html", &values)?;
        Ok(Rendered { subject, text, html })
    }
}

/// A quotation in a text: each line is marked, as mail readers do (RFC 3676, section 4.5).
fn quoted(text: &str) -> Value {
    let lines: Vec<_> = text.lines().map(|line| format!("> {line}")).collect();
    Value::from(lines.join("\n"))
}

/// A quotation in HTML: escaped here, because the line breaks are markup. A loop in the template
/// would let a person's empty lines use up its fuel.
fn quoted_in_html(text: &str) -> Value {
    let lines: Vec<_> = text.lines().map(|line| HtmlEscape(line).to_string()).collect();
    Value::from_safe_string(lines.join("<br>\n"))
}

/// An environment without filters, functions, includes or globals, where every undefined name is an
/// error and every value in HTML is escaped.
fn sandbox() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
    });
    environment
}

fn fill(
    environment: &Environment<'_>,
    name: &str,
    values: &BTreeMap<&str, Value>,
) -> Result<String, Error> {
    let mut page = Page(Vec::new());
    let template = environment.get_template(name)?;
    template.render_captured_to(Value::from_pairs(values.clone()), &mut page)?;
    String::from_utf8(page.0)
        .map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is not UTF-8"))
}

/// Output with an end: fuel bounds a template's steps, not what each step writes.
struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
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

    fn run(source: &'static str) -> Result<String, Error> {
        let mut environment = sandbox();
        environment.add_template("override.html", source)?;
        let values = BTreeMap::from([("name", Value::from("<b>".repeat(600)))]);
        fill(&environment, "override.html", &values)
    }

    #[test]
    fn a_template_cannot_loop_for_ever() {
        let digits = "[0,1,2,3,4,5,6,7,8,9]";
        let source = (0..6).fold("x".to_owned(), |body, depth| {
            format!("{{% for i{depth} in {digits} %}}{body}{{% endfor %}}")
        });
        let error = run(source.leak()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfFuel);
    }

    #[test]
    fn a_template_cannot_write_for_ever() {
        // 10,000 steps could write 24 MB of these names.
        let source = "{{ name }}".repeat(400);
        let error = run(source.leak()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteFailure);
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
    fn a_value_is_escaped() {
        assert!(run("{{ name }}").unwrap().starts_with("&lt;b&gt;"));
    }
}
