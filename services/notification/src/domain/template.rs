//! What a mail is made from: a template and a language. What fills it is in `variable.rs`.

use kernel::{Malformed, Time};

/// The mails that there are. What each is filled with is in `variable.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// An invitation to somebody without a usable account.
    InvitationNewUser,
    /// An invitation to somebody who can sign in.
    InvitationExistingUser,
    /// An invitation still waits, of whomever.
    InvitationReminder,
    /// To the requester: the request was received.
    AccessRequestReceived,
    /// To those who can decide: please do.
    AccessRequestAsked,
    /// To those who can decide: it will soon be overdue.
    AccessRequestReminded,
    /// To the requester: how it ended.
    AccessRequestDecided,
    /// To those who could have decided: how it ended.
    AccessRequestSettled,
}

impl Template {
    /// Every template.
    pub(crate) const ALL: [Self; 8] = [
        Self::InvitationNewUser,
        Self::InvitationExistingUser,
        Self::InvitationReminder,
        Self::AccessRequestReceived,
        Self::AccessRequestAsked,
        Self::AccessRequestReminded,
        Self::AccessRequestDecided,
        Self::AccessRequestSettled,
    ];

    /// Its name in the API and in the database.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::InvitationNewUser => "invitation-new-user",
            Self::InvitationExistingUser => "invitation-existing-user",
            Self::InvitationReminder => "invitation-reminder",
            Self::AccessRequestReceived => "access-request-received",
            Self::AccessRequestAsked => "access-request-asked",
            Self::AccessRequestReminded => "access-request-reminded",
            Self::AccessRequestDecided => "access-request-decided",
            Self::AccessRequestSettled => "access-request-settled",
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
}
