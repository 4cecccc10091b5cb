use kernel::{Duration, Malformed, Time, misleads};

/// Where an invitation stands: `pending → accepted | declined | revoked | expired`;
/// `expired → pending` by reissue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Accepted,
    Declined,
    Revoked,
    Expired,
}

impl State {
    /// What a state is at a moment: a pending invitation whose time is over has expired, whether
    /// or not its row says so yet.
    pub(crate) fn at(self, now: Time, expires_at: Time) -> Self {
        if self == Self::Pending && expires_at <= now { Self::Expired } else { self }
    }
}

/// When the invitee of an invitation that lives from now until `expires_at` is reminded: this long
/// before its end (zero for never), if it lives at least twice as long. Reminded of what has just
/// arrived, people take it for a second invitation.
pub(crate) fn remind_at(now: Time, expires_at: Time, before: Duration) -> Option<Time> {
    let lives_long = !before.is_zero() && expires_at - now >= before * 2;
    lives_long.then(|| expires_at - before)
}

/// The language of a mail: BCP 47, a language with an optional script or region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locale(String);

impl Locale {
    /// The language where none is named.
    pub(crate) const DEFAULT: &str = "en";

    /// Parses; empty names none.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Ok(Self(String::new()));
        }
        let mut parts = text.split('-');
        let is_language = parts.next().is_some_and(|part| {
            (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic())
        });
        let rest_fits = parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        if is_language && rest_fits && text.len() <= 35 {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("a language tag (BCP 47) such as en or de-AT"))
        }
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> Self {
        locale.0
    }
}

/// How long a link works: one hour to 90 days.
pub(crate) fn parse_life(life: Duration) -> Result<Duration, Malformed> {
    let fits = Duration::hours(1) <= life && life <= Duration::days(90);
    if fits { Ok(life) } else { Err(Malformed("one hour to 90 days")) }
}

/// What an application knows an invitation by: opaque, at most 200 characters without control
/// characters.
pub(crate) fn parse_source_id(text: &str) -> Result<String, Malformed> {
    let fits = text.chars().count() <= 200 && !text.chars().any(misleads);
    let expected = Malformed("at most 200 characters without control characters");
    if fits { Ok(text.to_owned()) } else { Err(expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reminder_needs_an_invitation_that_lives_twice_as_long() {
        let (now, hours) = (Time::UNIX_EPOCH, Duration::hours);
        for (life, before, reminded_after) in
            [(48, 24, Some(24)), (47, 24, None), (72, 24, Some(48)), (48, 0, None), (1, 24, None)]
        {
            let at = remind_at(now, now + hours(life), hours(before));
            assert_eq!(at.map(|at| at - now), reminded_after.map(hours), "{life} h, {before} h");
        }
    }
}
