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
    /// To the invitee: the invitation has run out.
    InvitationExpired,
    /// To somebody who never finished their registration: it was removed.
    RegistrationExpired,
    /// A code that shows that the reader has the address.
    VerificationCode,
    /// The password of an account was changed.
    PasswordChanged,
    /// To somebody who is to have no password: a link that completes the registration.
    AnonymousRegistration,
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
    pub(crate) const ALL: [Self; 13] = [
        Self::InvitationNewUser,
        Self::InvitationExistingUser,
        Self::InvitationReminder,
        Self::InvitationExpired,
        Self::RegistrationExpired,
        Self::VerificationCode,
        Self::PasswordChanged,
        Self::AnonymousRegistration,
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
            Self::InvitationExpired => "invitation-expired",
            Self::RegistrationExpired => "registration-expired",
            Self::VerificationCode => "verification-code",
            Self::PasswordChanged => "password-changed",
            Self::AnonymousRegistration => "anonymous-registration",
            Self::AccessRequestReceived => "access-request-received",
            Self::AccessRequestAsked => "access-request-asked",
            Self::AccessRequestReminded => "access-request-reminded",
            Self::AccessRequestDecided => "access-request-decided",
            Self::AccessRequestSettled => "access-request-settled",
        }
    }

    /// Whether mails of this name come again about what their reader knows: those that one can
    /// unsubscribe from. Every other mail is a single notice of one's own case.
    pub(crate) fn is_reminder(key: &str) -> bool {
        [Self::InvitationReminder, Self::AccessRequestReminded].iter().any(|it| it.key() == key)
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

    /// The languages to look for, the best first: the recipient's with its region, without it, and
    /// English. They end at the first that every template comes in (`de-AT`, then `de`; `fr`, then
    /// `en`), because behind that nothing is ever looked at.
    pub(crate) fn languages(&self) -> Vec<Language> {
        let mut languages = Vec::new();
        let mut tag = self.0.to_ascii_lowercase();
        loop {
            languages.push(Language(tag.clone()));
            if BUILT_IN.contains(&tag.as_str()) {
                return languages;
            }
            match tag.rfind('-') {
                Some(end) => tag.truncate(end),
                None => tag = ENGLISH.to_owned(),
            }
        }
    }

    /// The language itself.
    pub(crate) fn language(&self) -> Language {
        Language(self.0.to_ascii_lowercase())
    }
}

const ENGLISH: &str = "en";
/// The languages that every template comes in.
pub(crate) const BUILT_IN: [&str; 2] = [ENGLISH, "de"];

/// A language that a template is written in: a tag in the form of BCP 47, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Language(String);

impl Language {
    /// BCP 47, in lower case.
    pub(crate) fn tag(&self) -> &str {
        &self.0
    }

    /// Without script and region.
    fn base(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// A moment as people of this language write it. It is in UTC and says so, because nobody knows
    /// where the reader is.
    pub(crate) fn moment(&self, time: Time) -> String {
        let form = match self.base() {
            "en" => "%-d %B %Y, %H:%M UTC",
            "de" => "%d.%m.%Y, %H:%M Uhr (UTC)",
            _ => "%Y-%m-%d %H:%M UTC",
        };
        time.format(form).to_string()
    }

    /// What stands above a link that is there to be copied, for mail readers that do not show the
    /// button; nothing where we do not know the language.
    pub(crate) fn copy_hint(&self) -> Option<&'static str> {
        match self.base() {
            "en" => Some("If the button does not work, copy this link into your browser:"),
            "de" => Some(
                "Falls die Schaltfläche nicht funktioniert, kopieren Sie diesen Link in Ihren Browser:",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(tag: &str) -> Language {
        Locale::parse(tag).unwrap().language()
    }

    #[test]
    fn a_locale_falls_back_to_its_language_and_then_to_english() {
        for (locale, expected) in [
            ("de", "de"),
            ("de-AT", "de-at de"),
            ("DE-at", "de-at de"),
            ("de-Latn-AT-1996", "de-latn-at-1996 de-latn-at de-latn de"),
            ("en-GB", "en-gb en"),
            ("fr-CA", "fr-ca fr en"),
            ("den", "den en"),
            ("", "en"),
        ] {
            let languages = Locale::parse(locale).unwrap().languages();
            let tags: Vec<_> = languages.iter().map(Language::tag).collect();
            assert_eq!(tags.join(" "), expected, "{locale:?}");
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
        assert_eq!(language("en-GB").moment(time), "4 June 2026, 14:05 UTC");
        assert_eq!(language("de-AT").moment(time), "04.06.2026, 14:05 Uhr (UTC)");
        assert_eq!(language("fr").moment(time), "2026-06-04 14:05 UTC");
    }
}
