//! What can go wrong, as facts of the domain, and what each looks like on the wire
//! (`notification/v1/errors.proto`).

use std::time::Duration;

use kernel::Fields;
use tonic::{Code, Status};

/// The domain of every reason.
const DOMAIN: &str = "notification.usher";

/// Why a call is refused or fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Malformed input, every violation of it.
    #[error("{0}")]
    Invalid(Fields),
    /// The caller's token lacks this scope.
    #[error("the scope {0} is needed")]
    ScopeMissing(&'static str),
    /// The caller lacks this permission where it is needed.
    #[error("the permission {0} is needed")]
    PermissionMissing(&'static str),
    /// The caller lacks this permission at the platform, which lends addresses.
    #[error("the permission {0} is needed at the platform, which lends addresses")]
    AddressNotLent(&'static str),
    /// There is no such delivery, or the caller may not see it.
    #[error("there is no such delivery")]
    DeliveryNotFound,
    /// Another worker holds the delivery, for this long at most.
    #[error("another worker holds this delivery")]
    DeliveryClaimed(Duration),
    /// The claim is no longer the caller's.
    #[error("this claim is no longer yours")]
    ClaimLost,
    /// A delivery in this state is not sent once more.
    #[error("a delivery that is {0} is not sent once more")]
    DeliveryNotResendable(&'static str),
    /// It is not known what asked for the delivery.
    #[error("what asked for this delivery is not known")]
    DeliveryCauseUnknown,
    /// The delivery was begun anew this often.
    #[error("the delivery was begun {0} times, which is enough")]
    DeliveryResentTooOften(i32),
    /// The address is on the suppression list.
    #[error("the address is on the suppression list")]
    AddressSuppressed,
    /// The address is not on the suppression list.
    #[error("the address is not on the suppression list")]
    SuppressionNotFound,
    /// The token is none that stops reminders.
    #[error("the link is not valid")]
    LinkInvalid,
    /// There is no such dead letter.
    #[error("there is no such dead letter")]
    DeadLetterNotFound,
    /// Somebody has decided about the dead letter.
    #[error("the dead letter does not wait for a decision any more")]
    DeadLetterDecided,
    /// The dead letter is no message of ours, and can only be discarded.
    #[error("the dead letter cannot be read: it can only be discarded")]
    DeadLetterUnreadable,
    /// The event of the dead letter has not left the outbox since it was replayed before.
    #[error("the same event was replayed before and is still on its way")]
    DeadLetterOnItsWay,
    /// There is no template of that name, or it is not overridden there.
    #[error("there is no such template")]
    TemplateNotFound,
    /// There is no such organisation, or the caller may not see it.
    #[error("there is no such organisation")]
    OrganisationNotFound,
    /// It changed since it was read.
    #[error("it changed since it was read")]
    EtagMismatch,
    /// The organisation does not say whom its mails come from.
    #[error("there is no such sender")]
    SenderNotFound,
    /// The organisation or application has overridden as many templates as one may.
    #[error("no more templates can be overridden here")]
    TemplateLimitReached(u64),
    /// The machine has no random bytes, which a `Message-ID` needs.
    #[error("the machine has no random bytes")]
    NoRandomness,
    /// A service that this call needs did not answer well.
    #[error("a service that this call needs does not answer")]
    PeerUnavailable(Code),
    /// The database failed, or is away.
    #[error(transparent)]
    Database(#[from] db::DbErr),
    /// A template of ours failed.
    #[error(transparent)]
    Template(#[from] crate::engine::Error),
}

impl From<Error> for Status {
    #[rustfmt::skip]
    fn from(error: Error) -> Self {
        let (code, reason, metadata, retry_after) = match &error {
            Error::Invalid(fields) => return service::invalid(fields),
            Error::Database(cause) if db::is_unavailable(cause) => return service::unavailable(cause),
            Error::Database(cause) => return service::internal(cause),
            Error::Template(cause) => return service::internal(cause),
            Error::NoRandomness => return service::internal(&error),
            Error::PeerUnavailable(code) => {
                tracing::warn!(?code, "the organisation service cannot be asked");
                (Code::Unavailable, "PEER_UNAVAILABLE", vec![], Some(Duration::from_secs(1)))
            }
            Error::ScopeMissing(scope) => (Code::PermissionDenied, "SCOPE_MISSING", vec![("required", (*scope).to_owned())], None),
            Error::PermissionMissing(permission) | Error::AddressNotLent(permission) => (Code::PermissionDenied, "PERMISSION_MISSING", vec![("required", (*permission).to_owned())], None),
            Error::DeliveryNotFound => (Code::NotFound, "DELIVERY_NOT_FOUND", vec![], None),
            Error::DeliveryClaimed(left) => (Code::Aborted, "DELIVERY_CLAIMED", vec![], Some(*left)),
            Error::ClaimLost => (Code::Aborted, "CLAIM_LOST", vec![], None),
            Error::DeliveryNotResendable(state) => (Code::FailedPrecondition, "DELIVERY_NOT_RESENDABLE", vec![("state", (*state).to_owned())], None),
            Error::DeliveryCauseUnknown => (Code::FailedPrecondition, "DELIVERY_CAUSE_UNKNOWN", vec![], None),
            Error::DeliveryResentTooOften(limit) => (Code::FailedPrecondition, "DELIVERY_RESENT_TOO_OFTEN", vec![("limit", limit.to_string())], None),
            Error::AddressSuppressed => (Code::FailedPrecondition, "ADDRESS_SUPPRESSED", vec![], None),
            Error::SuppressionNotFound => (Code::NotFound, "SUPPRESSION_NOT_FOUND", vec![], None),
            Error::LinkInvalid => (Code::NotFound, "LINK_INVALID", vec![], None),
            Error::DeadLetterNotFound => (Code::NotFound, "DEAD_LETTER_NOT_FOUND", vec![], None),
            Error::DeadLetterDecided => (Code::FailedPrecondition, "DEAD_LETTER_DECIDED", vec![], None),
            Error::DeadLetterUnreadable => (Code::FailedPrecondition, "DEAD_LETTER_UNREADABLE", vec![], None),
            Error::DeadLetterOnItsWay => (Code::Aborted, "DEAD_LETTER_ON_ITS_WAY", vec![], Some(Duration::from_secs(1))),
            Error::TemplateNotFound => (Code::NotFound, "TEMPLATE_NOT_FOUND", vec![], None),
            Error::OrganisationNotFound => (Code::NotFound, "ORGANISATION_NOT_FOUND", vec![], None),
            Error::EtagMismatch => (Code::Aborted, "ETAG_MISMATCH", vec![], None),
            Error::SenderNotFound => (Code::NotFound, "SENDER_NOT_FOUND", vec![], None),
            Error::TemplateLimitReached(limit) => (Code::ResourceExhausted, "TEMPLATE_LIMIT_REACHED", vec![("limit", limit.to_string())], None),
        };
        service::refusal(DOMAIN, code, reason, error.to_string(), &metadata, retry_after)
    }
}
