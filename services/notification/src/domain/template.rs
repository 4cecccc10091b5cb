//! What a mail is made from: a template, a language and variables.

use std::collections::{BTreeMap, HashMap};

use kernel::{Fields, Malformed, Time};

/// The mails that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// An invitation to somebody without a usable account.
    InvitationNewUser,
    /// An invitation to somebody who can sign in.
    InvitationExistingUser,
}

impl Template {
    /// Every template.
    pub(crate) const ALL: [Self; 2] = [Self::InvitationNewUser, Self::InvitationExistingUser];

    /// Its name in the API and in the database.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::InvitationNewUser => "invitation-new-user",
            Self::InvitationExistingUser => "invitation-existing-user",
        }
    }

    /// The template of a name, if there is one.
    pub(crate) fn find(key: &TemplateKey) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.key() == key.0)
    }
}

/// Something that a template could be called: 1 to 64 lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateKey(String);

impl TemplateKey {
    /// Parses.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("a template's name such as invitation-new-user"))
        }
    }
}

/// A language tag in the form of BCP 47 (RFC 5646), at most 35 characters; empty text means `en`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locale(String);

impl Locale {
    /// Parses.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let is_subtag = |part: &str| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let is_language =
            |part: &str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_alphabetic());
        match text {
            "" => Ok(Self("en".to_owned())),
            _ if text.len() <= 35
                && text.split('-').all(is_subtag)
                && text.split('-').next().is_some_and(is_language) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Malformed("a language tag such as en or de-AT")),
        }
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The language to write in: the nearest that there are templates for (`de-AT`, then `de`), or
    /// else English.
    pub(crate) fn language(&self) -> Language {
        let mut tag = self.0.to_ascii_lowercase();
        loop {
            if let Some(language) = Language::ALL.into_iter().find(|known| known.tag() == tag) {
                return language;
            }
            match tag.rfind('-') {
                Some(end) => tag.truncate(end),
                None => return Language::English,
            }
        }
    }
}

/// A language that there are templates for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
}

impl Language {
    /// Every language.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::German];

    /// BCP 47, in lower case.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// A moment as people of this language write it. It is in UTC and says so, because nobody knows
    /// where the reader is.
    pub(crate) fn moment(self, time: Time) -> String {
        let form = match self {
            Self::English => "%-d %B %Y, %H:%M UTC",
            Self::German => "%d.%m.%Y, %H:%M Uhr (UTC)",
        };
        time.format(form).to_string()
    }
}

/// What a template is filled with, each a plain text.
///
/// Rule: at most 32 variables, each named like `organisation_name` and at most 2,000 characters
/// long. Every mail of today is an invitation, and needs `recipient_name` and `inviter_name` (which
/// may be empty), `organisation_name`, `roles`, `link` (an `https` or `http` address) and
/// `expires_at` (RFC 3339). Others are carried along: a template need not use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variables {
    /// The texts, by name; `expires_at` is not among them.
    pub(crate) texts: BTreeMap<String, String>,
    /// Until when the link works.
    pub(crate) expires_at: Time,
}

const MOST: usize = 32;
const LONGEST: usize = 2_000;

impl Variables {
    /// Parses, noting every violation as `variables` or `variables[link]`.
    pub(crate) fn parse(fields: &mut Fields, given: HashMap<String, String>) -> Option<Self> {
        let before = fields.violations().len();
        let mut texts: BTreeMap<String, String> = given.into_iter().collect();
        if texts.len() > MOST {
            fields.reject("variables", "expected at most 32");
        }
        if !texts.keys().all(|name| is_name(name)) {
            // A wrong name is not repeated: it can be as long as a message.
            fields.reject("variables", "expected names such as organisation_name");
        }
        for (name, text) in texts.iter().filter(|(name, _)| is_name(name)).take(MOST) {
            if text.chars().count() > LONGEST {
                fields.reject(path(name), "expected at most 2,000 characters");
            }
        }
        for name in ["inviter_name", "recipient_name"] {
            if !texts.contains_key(name) {
                fields.reject(path(name), "expected a text, which may be empty");
            }
        }
        for name in ["organisation_name", "roles"] {
            if texts.get(name).is_none_or(|text| text.trim().is_empty()) {
                fields.reject(path(name), "expected a text");
            }
        }
        if !texts.get("link").is_some_and(|link| is_link(link)) {
            fields.reject(path("link"), "expected an https:// or http:// address");
        }
        let expires_at = texts.remove("expires_at").and_then(|text| text.parse().ok());
        if expires_at.is_none() {
            fields.reject(path("expires_at"), "expected a moment such as 2026-01-31T12:00:00Z");
        }
        if fields.violations().len() > before {
            return None;
        }
        Some(Self { texts, expires_at: expires_at? })
    }
}

fn path(name: &str) -> String {
    format!("variables[{name}]")
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Escaping keeps a value inside its attribute, but not from being `javascript:`.
fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_falls_back_to_its_language_and_then_to_english() {
        for (locale, tag) in [
            ("de", "de"),
            ("de-AT", "de"),
            ("DE-at", "de"),
            ("de-Latn-AT-1996", "de"),
            ("en-GB", "en"),
            ("fr-CA", "en"),
            ("den", "en"),
            ("", "en"),
        ] {
            assert_eq!(Locale::parse(locale).unwrap().language().tag(), tag, "{locale:?}");
        }
    }

    #[test]
    fn what_is_no_language_tag_is_refused() {
        for bad in [
            "d",
            "de_AT",
            "de-",
            "-de",
            "1e",
            "de-abcdefghi",
            "../../etc",
            "de\r\n",
            &"aa-".repeat(12),
        ] {
            assert!(Locale::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_moment_is_written_as_people_of_the_language_do() {
        let time: Time = "2026-06-04T14:05:59Z".parse().unwrap();
        assert_eq!(Language::English.moment(time), "4 June 2026, 14:05 UTC");
        assert_eq!(Language::German.moment(time), "04.06.2026, 14:05 Uhr (UTC)");
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
