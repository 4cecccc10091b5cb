//! What a delivery is held to.

use kernel::{Duration, Fields, Malformed, Uuid, parse_id};

use super::status::EnhancedStatus;

/// How long a claim holds unless it is extended: no longer than need be, because after a worker's crash
/// the mail waits for the claim to lapse.
pub(crate) const CLAIM_LIFETIME: Duration = Duration::minutes(1);

/// How long after a claim has lapsed its message may still be with the worker: a broker takes it back
/// after half an hour.
pub(crate) const CLAIM_GRACE: Duration = Duration::minutes(30);

/// How long a message may wait in queues beyond its time, before it is taken for gone.
pub(crate) const QUEUE_GRACE: Duration = Duration::hours(1);

/// How long nobody may begin with what was put on its way again, before it is given up.
pub(crate) const LOST_AFTER: Duration = Duration::days(1);

/// How many claims in a row may lapse without a record: a mail that makes its worker crash so often is
/// given up. It is the broker's limit for a message, too.
pub(crate) const CRASH_LOOP: i32 = 20;

/// How often a delivery may be begun: whoever may send once more shall not fill a mailbox.
pub(crate) const MOST_GENERATIONS: i32 = 20;

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

/// Why a delivery is in its state, or an attempt did not succeed: `notification/v1/delivery.proto`
/// says which is of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is nothing to say.
    Nothing,
    Resent,
    Recovered,
    Exhausted,
    CrashLoop,
    Lost,
    SetAside,
    Refused,
    Delayed,
    Unreachable,
    Timeout,
    Template,
    Composing,
    Other,
    Address,
    MailboxFull,
    Policy,
    Bounced,
    Complained,
    Manual,
    Unsubscribed,
    Superseded,
    AccountClosed,
    RecipientChanged,
}

impl Reason {
    /// As rows, events and metrics say it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Resent => "resent",
            Self::Recovered => "recovered",
            Self::Exhausted => "exhausted",
            Self::CrashLoop => "crash_loop",
            Self::Lost => "lost",
            Self::SetAside => "set_aside",
            Self::Refused => "refused",
            Self::Delayed => "delayed",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Template => "template",
            Self::Composing => "composing",
            Self::Other => "other",
            Self::Address => "address",
            Self::MailboxFull => "mailbox_full",
            Self::Policy => "policy",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
            Self::Manual => "manual",
            Self::Unsubscribed => "unsubscribed",
            Self::Superseded => "superseded",
            Self::AccountClosed => "account_closed",
            Self::RecipientChanged => "recipient_changed",
        }
    }

    /// Why an attempt did not succeed, in a worker's word. A word of a later version is `other`: what
    /// became of a mail is recorded in any case.
    pub(crate) fn of_attempt(word: &str) -> Self {
        use Reason::{Composing, Delayed, Other, Refused, Template, Timeout, Unreachable};
        let known = [Refused, Delayed, Unreachable, Timeout, Template, Composing];
        known.into_iter().find(|reason| reason.as_str() == word).unwrap_or(Other)
    }
}

/// What a mail server answered to an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// RFC 5321, section 4.2; 0 if it did not.
    pub code: i32,
    /// RFC 3463; `None` if it named none.
    pub status: Option<EnhancedStatus>,
    /// Its words, for [`kept_words`] to bound.
    pub words: String,
}

impl Reply {
    /// Reads what a worker tells of it.
    pub(crate) fn parse(fields: &mut Fields, code: i32, status: &str, words: &str) -> Option<Self> {
        let is_code = code == 0 || (200..=599).contains(&code);
        let code = if is_code { Ok(code) } else { Err(Malformed("200 to 599, or 0 for none")) };
        let code = fields.read("reply_code", code);
        let status = fields.read_optional("enhanced_status", status, EnhancedStatus::parse);
        Some(Self { code: code?, status: status?, words: words.to_owned() })
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

/// The `Message-ID` (RFC 5322, section 3.6.4) of a generation of a delivery. It is kept with it: the
/// same at every attempt, so that a mail that reached the server twice can be known for one, and another
/// one when it is sent once more, or it would be dropped as known. The delivery of a report is found by
/// the first part, and the report counts because of the second: who has not seen the mail cannot guess it.
pub(crate) fn message_id(delivery: Uuid, secret: &str, domain: &str) -> String {
    format!("<{delivery}.{secret}@{domain}>")
}

/// The delivery that a `Message-ID` names, if it is one of ours: of whichever generation, and also in
/// the form of older versions, which had no secret.
pub(crate) fn delivery_of(message_id: &str) -> Option<Uuid> {
    let (local, _) = bare(message_id).split_once('@')?;
    let id = local.split_once('.').map_or(local, |(id, _)| id);
    parse_id(id).ok()
}

/// What is kept of words in which the mail server may have named the mail: more people read them than may
/// know its `Message-ID`. The name goes before the words are cut, or part of it could stay.
pub(crate) fn words_without(message_id: &str, words: &str) -> String {
    let local = bare(message_id).split('@').next().unwrap_or_default();
    kept_words(&words.replace(local, "…"))
}

/// A `Message-ID` without its angle brackets, which some lose on the way.
pub(crate) fn bare(message_id: &str) -> &str {
    message_id.trim_matches(['<', '>', ' '])
}

/// What brought a delivery about: kept, so that it can be sent once more by the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub routing_key: String,
    pub payload: Vec<u8>,
}

impl Cause {
    /// Reads the event of a request; one without a routing key is none.
    pub(crate) fn parse(
        fields: &mut Fields,
        routing_key: String,
        payload: Vec<u8>,
    ) -> Option<Option<Self>> {
        // What AMQP takes for a routing key, and as much of an event as ours can ever have.
        if routing_key.len() > 255 {
            fields.reject("cause_routing_key", "expected at most 255 bytes");
            return None;
        }
        if payload.len() > 8_192 {
            fields.reject("cause_payload", "expected at most 8 KiB");
            return None;
        }
        Some((!routing_key.is_empty()).then_some(Self { routing_key, payload }))
    }
}

/// What is kept of a mail server's words: 500 characters, without control characters, which the
/// database or a terminal would trip over.
pub(crate) fn kept_words(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_servers_words_are_kept_in_bounds() {
        assert_eq!(kept_words("550 5.1.1\r\nno\0such user"), "550 5.1.1  no such user");
        assert_eq!(kept_words(&"\u{e9}".repeat(600)).chars().count(), 500);
    }

    #[test]
    fn a_message_id_is_not_kept_not_even_in_part() {
        let id = message_id(Uuid::from_u128(7), "a-secret_", "example.com");
        assert_eq!(words_without(&id, &format!("250 queued {id}")), "250 queued <…@example.com>");
        for before in 430..500 {
            let words = words_without(&id, &format!("{}{id}", "x".repeat(before)));
            assert!(!words.contains("a-"), "{words}");
        }
    }

    #[test]
    fn a_message_id_names_its_delivery() {
        let id = Uuid::from_u128(7);
        let ours = message_id(id, "a-secret_", "example.com");
        assert_eq!(ours, format!("<{id}.a-secret_@example.com>"));
        let older = [format!("<{id}@usher>"), format!("<{id}.2@usher>"), format!(" {id}@usher ")];
        for message_id in older.iter().chain([&ours]) {
            assert_eq!(delivery_of(message_id), Some(id), "{message_id}");
        }
        for other in ["", "<@usher>", "<7@usher>", &id.to_string(), "<.@usher>"] {
            assert_eq!(delivery_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_workers_unknown_word_is_another_reason() {
        assert_eq!(Reason::of_attempt("refused"), Reason::Refused);
        // What only the service itself may say, too.
        for word in ["", "exhausted", "bounced", "REFUSED", "ada@example.com"] {
            assert_eq!(Reason::of_attempt(word), Reason::Other, "{word}");
        }
    }
}
