//! What each template is filled with.

use std::collections::{BTreeMap, HashMap};

use kernel::{Fields, Time};

use super::template::Template;

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One line of text.
    Line,
    /// What a person wrote, on however many lines: a mail shows it as a quotation, so that it cannot
    /// pass for what the mail itself says.
    Quotation,
    /// An `https` or `http` address.
    Link,
    /// A moment (RFC 3339); a mail shows it as people of its language write it.
    Moment,
    /// How an access request ended: `approved`, `rejected`, `expired` or `withdrawn`.
    Outcome,
    /// What the reader is to type somewhere: 4 to 12 letters and digits.
    Code,
}

/// How an access request can end.
pub(crate) const OUTCOMES: [&str; 4] = ["approved", "rejected", "expired", "withdrawn"];

/// A variable of a template. An optional one may be left out or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_needed: bool,
}

const fn needed(name: &'static str, kind: Kind) -> Variable {
    Variable { name, kind, is_needed: true }
}

const fn optional(name: &'static str, kind: Kind) -> Variable {
    Variable { name, kind, is_needed: false }
}

const INVITATION: &[Variable] = &[
    needed("organisation_name", Kind::Line),
    needed("roles", Kind::Line),
    needed("link", Kind::Link),
    needed("expires_at", Kind::Moment),
    optional("recipient_name", Kind::Line),
    optional("inviter_name", Kind::Line),
    optional("application_name", Kind::Line),
    optional("personal_message", Kind::Quotation),
];

const RECEIVED: &[Variable] = &[
    needed("organisation_name", Kind::Line),
    needed("wanted", Kind::Line),
    needed("link", Kind::Link),
    optional("recipient_name", Kind::Line),
    optional("reason", Kind::Quotation),
    optional("expires_at", Kind::Moment),
];

const ASKED: &[Variable] = &[
    needed("requester_name", Kind::Line),
    needed("organisation_name", Kind::Line),
    needed("wanted", Kind::Line),
    needed("link", Kind::Link),
    optional("recipient_name", Kind::Line),
    optional("reason", Kind::Quotation),
    optional("due_at", Kind::Moment),
];

const DECIDED: &[Variable] = &[
    needed("organisation_name", Kind::Line),
    needed("wanted", Kind::Line),
    needed("outcome", Kind::Outcome),
    needed("link", Kind::Link),
    optional("recipient_name", Kind::Line),
    optional("decided_by", Kind::Line),
    optional("decision_reason", Kind::Quotation),
];

const SETTLED: &[Variable] = &[
    needed("requester_name", Kind::Line),
    needed("organisation_name", Kind::Line),
    needed("wanted", Kind::Line),
    needed("outcome", Kind::Outcome),
    needed("link", Kind::Link),
    optional("recipient_name", Kind::Line),
    optional("decided_by", Kind::Line),
    optional("decision_reason", Kind::Quotation),
];

const EXPIRED: &[Variable] = &[
    needed("organisation_name", Kind::Line),
    optional("recipient_name", Kind::Line),
    optional("inviter_name", Kind::Line),
    optional("application_name", Kind::Line),
    optional("expires_at", Kind::Moment),
];

const UNFINISHED: &[Variable] = &[
    needed("organisation_name", Kind::Line),
    optional("recipient_name", Kind::Line),
    optional("application_name", Kind::Line),
    optional("link", Kind::Link),
];

const CODE: &[Variable] = &[
    needed("code", Kind::Code),
    needed("expires_at", Kind::Moment),
    optional("recipient_name", Kind::Line),
    optional("organisation_name", Kind::Line),
    optional("application_name", Kind::Line),
];

const CHANGED: &[Variable] = &[
    needed("changed_at", Kind::Moment),
    optional("recipient_name", Kind::Line),
    optional("link", Kind::Link),
];

const ANONYMOUS: &[Variable] = &[
    needed("organisation_name", Kind::Line),
    needed("link", Kind::Link),
    needed("expires_at", Kind::Moment),
    optional("recipient_name", Kind::Line),
    optional("application_name", Kind::Line),
];

impl Template {
    /// What it is filled with, as documented in `notification/v1/template_service.proto`.
    pub(crate) const fn variables(self) -> &'static [Variable] {
        match self {
            Self::InvitationNewUser | Self::InvitationExistingUser | Self::InvitationReminder => {
                INVITATION
            }
            Self::InvitationExpired => EXPIRED,
            Self::RegistrationExpired => UNFINISHED,
            Self::VerificationCode => CODE,
            Self::PasswordChanged => CHANGED,
            Self::AnonymousRegistration => ANONYMOUS,
            Self::AccessRequestReceived => RECEIVED,
            Self::AccessRequestAsked | Self::AccessRequestReminded => ASKED,
            Self::AccessRequestDecided => DECIDED,
            Self::AccessRequestSettled => SETTLED,
        }
    }
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// One line; empty where an optional variable was left out.
    Line(String),
    /// Lines that end with `\n`, without other control characters.
    Quotation(String),
    Moment(Time),
}

/// The values of every variable of a template, by name.
///
/// Rule: at most 32, each at most 2,000 characters of plain text. What the template needs is there,
/// and nothing that it does not know: a misspelt optional variable would be missing from the mail
/// without anybody's notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variables(pub(crate) BTreeMap<&'static str, Value>);

const MOST: usize = 32;
const LONGEST: usize = 2_000;

impl Variables {
    /// A sample of every variable.
    pub(crate) fn samples(template: Template) -> Self {
        Self::samples_with(template, "rejected", true)
    }

    /// A sample of every variable or of those that are needed, with one of the [`OUTCOMES`].
    pub(crate) fn samples_with(template: Template, outcome: &str, with_optional: bool) -> Self {
        let value = |variable: &Variable| {
            let text = match variable.kind {
                Kind::Outcome => outcome,
                _ if with_optional || variable.is_needed => variable.sample(),
                _ => "",
            };
            // A test holds that every sample is a value.
            (variable.name, variable.parse(text).unwrap_or(Value::Line(String::new())))
        };
        Self(template.variables().iter().map(value).collect())
    }

    /// Those that a mail of the template must show and whose values this text of it does not.
    pub(crate) fn not_shown_in(
        &self,
        template: Template,
        text: &str,
    ) -> impl Iterator<Item = &'static Variable> {
        let is_shown = move |variable: &Variable| match self.0.get(variable.name) {
            Some(Value::Line(value)) => text.contains(value.as_str()),
            _ => false,
        };
        let needed = template.variables().iter().filter(|it| it.must_be_shown());
        needed.filter(move |it| !is_shown(it))
    }

    /// Parses, noting every violation as `variables` or `variables[link]`.
    pub(crate) fn parse(
        fields: &mut Fields,
        template: Template,
        mut given: HashMap<String, String>,
    ) -> Option<Self> {
        if given.len() > MOST {
            fields.reject("variables", "expected at most 32");
            return None;
        }
        let before = fields.violations().len();
        let mut values = BTreeMap::new();
        for variable in template.variables() {
            match variable.parse(&given.remove(variable.name).unwrap_or_default()) {
                Ok(value) => drop(values.insert(variable.name, value)),
                Err(expected) => fields.reject(format!("variables[{}]", variable.name), expected),
            }
        }
        if !given.is_empty() {
            // An unknown name is not repeated: it can be as long as a message.
            fields.reject("variables", "expected those of the template and no others");
        }
        (fields.violations().len() == before).then_some(Self(values))
    }
}

/// What a preview shows, by the name of the variable.
const SAMPLES: &[(&str, &str)] = &[
    ("recipient_name", "Ada Lovelace"),
    ("organisation_name", "ABC Holdings"),
    ("inviter_name", "Grace Hopper"),
    ("application_name", "Payroll"),
    ("personal_message", "Welcome aboard.\nUntil Monday!"),
    ("roles", "user, teacher"),
    ("requester_name", "Mary Somerville"),
    ("wanted", "approver"),
    ("reason", "I keep the books.\nSince May."),
    ("outcome", "rejected"),
    ("decided_by", "Emmy Noether"),
    ("decision_reason", "Not yet.\nAsk in May."),
    ("link", "https://usher.example/links/abc"),
    ("code", "482916"),
    ("expires_at", "2026-06-03T12:00:00Z"),
    ("due_at", "2026-06-04T12:00:00Z"),
    ("changed_at", "2026-06-01T12:00:00Z"),
];

impl Variable {
    /// A value to try a template with.
    pub(crate) fn sample(&self) -> &'static str {
        SAMPLES.iter().find(|(name, _)| *name == self.name).map_or("", |(_, value)| value)
    }

    /// Whether a mail without it would be of no use to its reader.
    pub(crate) fn must_be_shown(&self) -> bool {
        self.is_needed && matches!(self.kind, Kind::Link | Kind::Code)
    }

    fn parse(&self, text: &str) -> Result<Value, &'static str> {
        if text.chars().count() > LONGEST {
            return Err("expected at most 2,000 characters");
        }
        let nothing = Ok(Value::Line(String::new()));
        match self.kind {
            _ if text.trim().is_empty() && !self.is_needed => nothing,
            Kind::Line if text.trim().is_empty() => Err("expected a text"),
            Kind::Line if text.chars().any(ends_a_line) => Err("expected one line of text"),
            Kind::Line => Ok(Value::Line(text.to_owned())),
            Kind::Quotation => Ok(Value::Quotation(lines(text))),
            Kind::Link if is_link(text) => Ok(Value::Line(text.to_owned())),
            Kind::Link => Err("expected an https:// or http:// address"),
            Kind::Moment => text
                .parse()
                .map(Value::Moment)
                .map_err(|_| "expected a moment such as 2026-01-31T12:00:00Z"),
            Kind::Outcome if OUTCOMES.contains(&text) => Ok(Value::Line(text.to_owned())),
            Kind::Outcome => Err("expected approved, rejected, expired or withdrawn"),
            Kind::Code if is_code(text) => Ok(Value::Line(text.to_owned())),
            Kind::Code => Err("expected 4 to 12 letters and digits"),
        }
    }
}

/// What would end a line, or a header, in some mail reader or other.
fn ends_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A text of several lines, each ended by `\n` alone, so that each can be marked as quoted.
fn lines(text: &str) -> String {
    let text = text.trim().replace("\r\n", "\n");
    let plain = text.chars().map(|c| match c {
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        c if c.is_control() => ' ',
        c => c,
    });
    plain.collect()
}

/// Escaping keeps a value inside its attribute, but not from being `javascript:`.
fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn is_code(text: &str) -> bool {
    (4..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_a_line_ends_a_quoted_line() {
        let text = " one\r\ntwo\rthree\u{85}four\u{2028}five\u{2029}six\u{b}seven\u{c}eight\0\t.\n";
        assert_eq!(lines(text), "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight  .");
    }

    #[test]
    fn every_sample_is_a_value_that_is_not_empty() {
        for template in Template::ALL {
            for variable in template.variables() {
                assert!(variable.parse(variable.sample()).is_ok(), "{variable:?}");
                assert!(!variable.sample().is_empty(), "{variable:?}");
            }
        }
    }

    #[test]
    fn a_link_is_a_web_address_and_nothing_else() {
        for bad in [
            "",
            "https://",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a\r\nb",
            "https://a b",
            " https://a",
        ] {
            assert!(!is_link(bad), "{bad:?}");
        }
        assert!(is_link("https://usher.example/invitations/abc"));
    }
}
