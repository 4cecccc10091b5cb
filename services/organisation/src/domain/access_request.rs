use std::fmt;

use kernel::{Duration, Malformed, Time, Uuid, misleads};

use super::role::RoleKey;

/// How long a request may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// After which it is overdue; two days at least.
    pub overdue: Duration,
    /// After which it expires; longer than the other.
    pub expiry: Duration,
}

/// When something is to be done about a request that nobody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// Those who can decide are reminded: a day before it is overdue.
    pub remind_at: Time,
    pub due_at: Time,
    pub expires_at: Time,
}

/// What is to be done about a request when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Remind,
    Overdue,
    Expire,
}

impl Times {
    /// Of a request that is made now.
    pub(crate) fn from(now: Time, patience: Patience) -> Self {
        let due_at = now + patience.overdue;
        let remind_at = due_at - Duration::days(1);
        Self { remind_at, due_at, expires_at: now + patience.expiry }
    }

    /// What is to be done now about a request for which something was planned, and what is planned
    /// then. After a time in which nobody looked, no step is left out but those before the expiry,
    /// which makes them pointless.
    pub(crate) fn step(&self, planned: Time, now: Time) -> (Step, Option<Time>) {
        if self.expires_at <= now {
            (Step::Expire, None)
        } else if planned <= self.remind_at {
            (Step::Remind, Some(self.due_at))
        } else {
            (Step::Overdue, Some(self.expires_at))
        }
    }
}

/// What makes two requests of one person at one organisation the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Role(RoleKey),
    Application(Uuid),
    /// The acceptance of an invitation.
    Invitation(Uuid),
}

impl fmt::Display for Target {
    /// As rows keep it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(key) => write!(f, "role:{}", key.folded()),
            Self::Application(id) => write!(f, "application:{id}"),
            Self::Invitation(id) => write!(f, "invitation:{id}"),
        }
    }
}

/// Why somebody asks or decides, in their own words: at most 1000 characters, of which none
/// [`misleads`] but the line feed and the tab. Mails show it as a quotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reason(String);

impl Reason {
    /// Parses; it may be empty.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        // A form in a browser writes both characters at the end of a line.
        let text = text.trim().replace("\r\n", "\n");
        let is_fine = |c: char| c == '\n' || c == '\t' || !misleads(c);
        if text.chars().count() > 1_000 || !text.chars().all(is_fine) {
            return Err(Malformed("at most 1000 characters without control characters"));
        }
        Ok(Self(text))
    }

    /// Parses where one must be given.
    pub(crate) fn parse_needed(text: &str) -> Result<Self, Malformed> {
        let needed = Malformed("a reason of 1 to 1000 characters");
        Self::parse(text).and_then(|it| if it.0.is_empty() { Err(needed) } else { Ok(it) })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { overdue: Duration::days(5), expiry: Duration::days(90) };

    #[test]
    fn a_reminder_comes_a_day_before_it_is_overdue_and_then_it_expires() {
        let now: Time = "2026-01-01T12:00:00Z".parse().unwrap();
        let days = |days| now + Duration::days(days);
        let times = Times::from(now, PATIENCE);
        assert_eq!(times.step(days(4), days(4)), (Step::Remind, Some(days(5))));
        assert_eq!(times.step(days(5), days(5)), (Step::Overdue, Some(days(90))));
        assert_eq!(times.step(days(90), days(90)), (Step::Expire, None));
        // Nobody looked for a week, and then for half a year.
        assert_eq!(times.step(days(4), days(11)), (Step::Remind, Some(days(5))));
        assert_eq!(times.step(days(4), days(180)), (Step::Expire, None));
    }

    #[test]
    fn a_role_is_asked_for_once_however_it_is_spelled() {
        let target = |key: &str| Target::Role(RoleKey::parse(key).unwrap()).to_string();
        assert_eq!(target("Approver"), target("approver"));
    }

    #[test]
    fn a_reason_is_text_of_bounded_length() {
        assert_eq!(Reason::parse(" One.\r\nTwo. ").unwrap().as_str(), "One.\nTwo.");
        assert!(Reason::parse(&"ä".repeat(1_000)).is_ok());
        for bad in ["x".repeat(1_001), "a\u{0}b".to_owned(), "a\rb".to_owned()] {
            assert!(Reason::parse(&bad).is_err());
        }
        assert!(Reason::parse("").is_ok());
        assert!(Reason::parse_needed("  ").is_err());
    }
}
