//! What a delivery is held to.

use kernel::{Duration, Uuid};

/// How long a claim holds: longer than the 45 s that a worker may take for one mail, and no longer
/// than need be, because after a worker's crash the mail waits for the claim to lapse.
pub(crate) const CLAIM_LIFETIME: Duration = Duration::minutes(1);

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The mail server took the mail.
    Sent,
    /// To be tried again later.
    Delayed,
    /// Refused for good.
    Failed,
}

/// The `Message-ID` (RFC 5322, section 3.6.4) of a delivery: the same at every attempt, so that a
/// mail that reached the server twice can be known for one.
pub(crate) fn message_id(delivery: Uuid) -> String {
    format!("<{delivery}@usher>")
}

/// What is kept of a mail server's words: 500 characters, without control characters, which the
/// database or a terminal would trip over.
pub(crate) fn kept_error(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_servers_words_are_kept_in_bounds() {
        assert_eq!(kept_error("550 5.1.1\r\nno\0such user"), "550 5.1.1  no such user");
        assert_eq!(kept_error(&"\u{e9}".repeat(600)).chars().count(), 500);
    }
}
