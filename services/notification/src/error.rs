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
    /// There is no such delivery, or the caller may not see it.
    #[error("there is no such delivery")]
    DeliveryNotFound,
    /// Another worker holds the delivery, for this long at most.
    #[error("another worker holds this delivery")]
    DeliveryClaimed(Duration),
    /// The claim is no longer the caller's.
    #[error("this claim is no longer yours")]
    ClaimLost,
    /// There is no template of that name.
    #[error("there is no such template")]
    TemplateNotFound,
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
            Error::PeerUnavailable(code) => {
                tracing::warn!(?code, "the organisation service cannot be asked");
                (Code::Unavailable, "PEER_UNAVAILABLE", vec![], Some(Duration::from_secs(1)))
            }
            Error::ScopeMissing(scope) => (Code::PermissionDenied, "SCOPE_MISSING", vec![("required", (*scope).to_owned())], None),
            Error::DeliveryNotFound => (Code::NotFound, "DELIVERY_NOT_FOUND", vec![], None),
            Error::DeliveryClaimed(left) => (Code::Aborted, "DELIVERY_CLAIMED", vec![], Some(*left)),
            Error::ClaimLost => (Code::Aborted, "CLAIM_LOST", vec![], None),
            Error::TemplateNotFound => (Code::NotFound, "TEMPLATE_NOT_FOUND", vec![], None),
        };
        service::refusal(DOMAIN, code, reason, error.to_string(), &metadata, retry_after)
    }
}
