use std::time::Duration;

use db::DbErr;
use kernel::{Fields, Uuid};
use sea_orm::SqlErr;
use service::{internal, invalid, refusal, unavailable};
use tonic::{
    Code::{self, *},
    Status,
};

use crate::domain::{invitation::State, rights::Denied};

/// Why a use case was not carried out. The reasons are documented in
/// `proto/usher/organisation/v1/errors.proto`.
#[derive(Debug)]
pub(crate) enum Error {
    Invalid(Fields),
    /// No refusal: the answer that the request got when it came first.
    Repeated(Vec<u8>),
    RequestIdReused,
    Denied(Denied),
    ScopeMissing(&'static str),
    OrganisationNotFound,
    DepthExceeded {
        max_depth: i32,
    },
    MovePointless,
    RoleLeftBehind {
        role: String,
    },
    EtagMismatch,
    MembershipNotFound,
    UserNotFound,
    AlreadyMember,
    LastOwner,
    RoleNotFound,
    RoleExists,
    RoleHeld,
    RoleBuiltIn,
    InvitationNotFound,
    InvitationPending {
        id: Uuid,
    },
    NotPending(State),
    InviterLostRight,
    InviteeRequired,
    LinkInvalid,
    AccountUnusable,
    AccountExists,
    DomainNotAllowed {
        domain: String,
    },
    TooManyInvitations {
        limit: &'static str,
        retry_after: Duration,
    },
    ApplicationNotFound,
    ApplicationWithoutRedirect,
    CallbackNotRegistered,
    AccessRequestNotFound,
    AccessRequestPending {
        id: Uuid,
    },
    AccessRequestSettled {
        state: &'static str,
    },
    OwnRequest,
    AlreadyGranted,
    MemberRequired,
    RequesterRequired,
    Database(DbErr),
    Peer(Box<Status>),
    Internal(String),
}

const DOMAIN: &str = "organisation.usher";

/// A refusal as callers hear it.
struct Refusal {
    code: Code,
    reason: &'static str,
    message: &'static str,
    metadata: Option<(&'static str, String)>,
    retry_after: Option<Duration>,
}

fn plain(code: Code, reason: &'static str, message: &'static str) -> Option<Refusal> {
    Some(Refusal { code, reason, message, metadata: None, retry_after: None })
}

fn with(
    code: Code,
    reason: &'static str,
    message: &'static str,
    key: &'static str,
    value: impl ToString,
) -> Option<Refusal> {
    let metadata = Some((key, value.to_string()));
    Some(Refusal { code, reason, message, metadata, retry_after: None })
}

impl Error {
    /// The reason of a refusal; nothing for malformed input and for failures of ours.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.refusal().map(|refusal| refusal.reason)
    }

    /// A refusal as the result of one of many tells it: its reason, and a sentence that also says what
    /// it is about and how long to wait.
    pub(crate) fn told(&self) -> Option<(&'static str, String)> {
        let Refusal { code: _, reason, message, metadata, retry_after } = self.refusal()?;
        let about = metadata.map(|(name, value)| format!("{name}={value}"));
        let wait = retry_after.map(|wait| format!("in {} s", wait.as_secs().max(1)));
        let more: Vec<_> = about.into_iter().chain(wait).collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        Some((reason, format!("{message}{more}")))
    }

    /// The one table: what each refusal is to callers.
    #[rustfmt::skip]
    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Invalid(_) | Self::Repeated(_) | Self::Database(_) | Self::Peer(_) | Self::Internal(_) => None,
            Self::Denied(denied) => of_denied(denied),
            Self::NotPending(state) => of_state(*state),
            Self::RequestIdReused => plain(AlreadyExists, "REQUEST_ID_REUSED", "this request_id was used for another request"),
            Self::ScopeMissing(scope) => with(PermissionDenied, "SCOPE_MISSING", "the token lacks a scope", "required", scope),
            Self::OrganisationNotFound => plain(NotFound, "ORGANISATION_NOT_FOUND", "there is no such organisation"),
            Self::DepthExceeded { max_depth } => with(FailedPrecondition, "DEPTH_EXCEEDED", "the tree may not become deeper", "max_depth", max_depth),
            Self::MovePointless => plain(FailedPrecondition, "MOVE_POINTLESS", "an organisation cannot be moved below itself, or to where it is"),
            Self::RoleLeftBehind { role } => with(FailedPrecondition, "ROLE_LEFT_BEHIND", "what would move uses a role that its new root does not have", "role", role),
            Self::EtagMismatch => plain(Aborted, "ETAG_MISMATCH", "it changed since it was read"),
            Self::MembershipNotFound => plain(NotFound, "MEMBERSHIP_NOT_FOUND", "there is no such membership"),
            Self::UserNotFound => plain(NotFound, "USER_NOT_FOUND", "there is no such user or service account"),
            Self::AlreadyMember => plain(AlreadyExists, "ALREADY_MEMBER", "this person is a member with these roles already"),
            Self::LastOwner => plain(FailedPrecondition, "LAST_OWNER", "a root keeps at least one active owner without end"),
            Self::RoleNotFound => plain(NotFound, "ROLE_NOT_FOUND", "there is no such role"),
            Self::RoleExists => plain(AlreadyExists, "ROLE_EXISTS", "there is a role with this key"),
            Self::RoleHeld => plain(FailedPrecondition, "ROLE_HELD", "the role is in use; name a replacement"),
            Self::RoleBuiltIn => plain(FailedPrecondition, "ROLE_BUILT_IN", "built-in roles do not change"),
            Self::InvitationNotFound => plain(NotFound, "INVITATION_NOT_FOUND", "there is no such invitation"),
            Self::InvitationPending { id } => with(AlreadyExists, "INVITATION_PENDING", "this address has a pending invitation to this organisation; reissue that one", "invitation_id", id),
            Self::InviterLostRight => plain(FailedPrecondition, "INVITER_LOST_RIGHT", "the inviter may no longer offer these roles; ask for a new invitation"),
            Self::InviteeRequired => plain(PermissionDenied, "INVITEE_REQUIRED", "only the invitee can do this"),
            Self::LinkInvalid => plain(NotFound, "LINK_INVALID", "this link does not exist"),
            Self::AccountUnusable => plain(FailedPrecondition, "ACCOUNT_UNUSABLE", "the account of this address cannot be used"),
            Self::AccountExists => plain(AlreadyExists, "ACCOUNT_EXISTS", "this address has an account"),
            Self::DomainNotAllowed { domain } => with(FailedPrecondition, "DOMAIN_NOT_ALLOWED", "this organisation does not invite this mail domain", "domain", domain),
            Self::TooManyInvitations { limit, retry_after } => Some(Refusal {
                retry_after: Some(*retry_after),
                ..with(ResourceExhausted, "TOO_MANY_INVITATIONS", "too many invitations; try again later", "limit", limit)?
            }),
            Self::ApplicationNotFound => plain(NotFound, "APPLICATION_NOT_FOUND", "there is no such application"),
            Self::ApplicationWithoutRedirect => plain(FailedPrecondition, "APPLICATION_WITHOUT_REDIRECT", "the application has no redirect URL"),
            Self::CallbackNotRegistered => plain(PermissionDenied, "CALLBACK_NOT_REGISTERED", "the application has not registered the callback's host"),
            Self::AccessRequestNotFound => plain(NotFound, "ACCESS_REQUEST_NOT_FOUND", "there is no such access request"),
            Self::AccessRequestPending { id } => with(AlreadyExists, "ACCESS_REQUEST_PENDING", "this was asked for already", "access_request_id", id),
            Self::AccessRequestSettled { state } => with(FailedPrecondition, "ACCESS_REQUEST_SETTLED", "the request was settled before", "state", state),
            Self::OwnRequest => plain(PermissionDenied, "OWN_REQUEST", "nobody decides on their own request or invitation"),
            Self::AlreadyGranted => plain(AlreadyExists, "ALREADY_GRANTED", "what is asked for is held already"),
            Self::MemberRequired => plain(FailedPrecondition, "MEMBER_REQUIRED", "only an active member of the organisation can have this"),
            Self::RequesterRequired => plain(PermissionDenied, "REQUESTER_REQUIRED", "only the requester can withdraw"),
        }
    }
}

#[rustfmt::skip]
fn of_denied(denied: &Denied) -> Option<Refusal> {
    match denied {
        Denied::Hidden => Error::OrganisationNotFound.refusal(),
        Denied::Missing(permission) => with(PermissionDenied, "PERMISSION_MISSING", "you lack a permission at this organisation", "permission", permission.as_str()),
        Denied::Archived => plain(FailedPrecondition, "ORGANISATION_ARCHIVED", "the organisation is archived"),
        Denied::AboveCeiling(role) => with(PermissionDenied, "GRANT_CEILING_EXCEEDED", "nobody gives, changes or takes away what they do not hold at this organisation", "role", role),
        Denied::NotInvitable(role) => with(PermissionDenied, "ROLE_NOT_INVITABLE", "a service account cannot give this role", "role", role),
    }
}

fn of_state(state: State) -> Option<Refusal> {
    let (reason, message) = match state {
        State::Accepted => ("INVITATION_ACCEPTED", "the invitation was accepted before"),
        State::Revoked => ("INVITATION_REVOKED", "the invitation was taken back"),
        State::Declined => ("INVITATION_DECLINED", "the invitee declined"),
        State::Expired => ("INVITATION_EXPIRED", "the invitation's time is over"),
        // A pending invitation is refused for this reason only if it changed in between.
        State::Pending => return None,
    };
    plain(FailedPrecondition, reason, message)
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Some(Refusal { code, reason, message, metadata, retry_after }) = error.refusal() {
            return refusal(DOMAIN, code, reason, message, metadata.as_slice(), retry_after);
        }
        match error {
            Error::Invalid(fields) => invalid(&fields),
            Error::NotPending(_) => unavailable("an invitation changed while it was changed"),
            Error::Database(error) if db::is_unavailable(&error) => unavailable(error),
            // What a row refers to was deleted at the same moment; looked for again, it is not found.
            Error::Database(error) if refers_to_nothing(&error) => unavailable(error),
            Error::Database(error) => internal(error),
            Error::Peer(status) => peer_unavailable(&status),
            Error::Internal(cause) => internal(cause),
            error => internal(format!("{error:?}")),
        }
    }
}

fn refers_to_nothing(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_)))
}

fn peer_unavailable(status: &Status) -> Status {
    tracing::warn!(code = ?status.code(), "a peer does not answer");
    let second = Some(Duration::from_secs(1));
    refusal(DOMAIN, Unavailable, "PEER_UNAVAILABLE", "try again in a moment", &[], second)
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}
