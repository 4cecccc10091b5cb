//! What a delivery is held to.

use kernel::{Duration, Fields, Uuid, parse_id};

/// How long a claim holds: longer than the 45 s that a worker may take for one mail, and no longer
/// than need be, because after a worker's crash the mail waits for the claim to lapse.
pub(crate) const CLAIM_LIFETIME: Duration = Duration::minutes(1);

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An invitation, by its id.
    Invitation(Uuid),
    /// An access request, by its id.
    AccessRequest(Uuid),
}

impl Subject {
    /// Parses the two fields of which exactly one names something. The nil UUID names nothing.
    pub(crate) fn parse(
        fields: &mut Fields,
        invitation_id: &str,
        access_request_id: &str,
    ) -> Option<Self> {
        let subject = match (invitation_id, access_request_id) {
            ("", "") => {
                fields.reject("invitation_id", "expected this or access_request_id");
                return None;
            }
            (id, "") => fields.read("invitation_id", parse_id(id)).map(Self::Invitation),
            ("", id) => fields.read("access_request_id", parse_id(id)).map(Self::AccessRequest),
            _ => {
                fields.reject("access_request_id", "expected this or invitation_id, not both");
                return None;
            }
        };
        match subject {
            Some(Self::Invitation(id)) if id.is_nil() => {
                fields.reject("invitation_id", "expected an invitation's id");
                None
            }
            Some(Self::AccessRequest(id)) if id.is_nil() => {
                fields.reject("access_request_id", "expected an access request's id");
                None
            }
            subject => subject,
        }
    }
}

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
