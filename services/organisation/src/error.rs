use db::DbErr;
use kernel::{Fields, Uuid};
use service::{internal, invalid, refusal, unavailable};
use tonic::{Code, Status};

use crate::domain::{invitation::State, rights::Denied};

/// Why a use case was not carried out. The reasons are documented in
/// `proto/usher/organisation/v1/errors.proto`.
#[derive(Debug)]
pub(crate) enum Error {
    Invalid(Fields),
    OrganisationNotFound,
    InvitationNotFound,
    Denied(Denied),
    DepthExceeded { max_depth: i32 },
    InvitationPending { id: Uuid },
    AlreadyMember,
    NotPending(State),
    InviterLostRight,
    InviteeRequired,
    LinkInvalid,
    EtagMismatch,
    ScopeMissing(&'static str),
    AccountUnusable,
    Database(DbErr),
    Peer(Box<Status>),
    Internal(String),
}

const DOMAIN: &str = "organisation.usher";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        use Code::{Aborted, AlreadyExists, FailedPrecondition, NotFound, PermissionDenied};
        let refuse =
            |code, reason, message: &str| refusal(DOMAIN, code, reason, message, &[], None);
        let refuse_with = |code, reason, message: &str, key, value: String| {
            refusal(DOMAIN, code, reason, message, &[(key, value)], None)
        };
        match error {
            Error::Invalid(fields) => invalid(&fields),
            Error::OrganisationNotFound | Error::Denied(Denied::Hidden) => {
                refuse(NotFound, "ORGANISATION_NOT_FOUND", "there is no such organisation")
            }
            Error::InvitationNotFound => {
                refuse(NotFound, "INVITATION_NOT_FOUND", "there is no such invitation")
            }
            Error::Denied(Denied::Missing(permission)) => refuse_with(
                PermissionDenied,
                "PERMISSION_MISSING",
                "you lack a permission at this organisation",
                "permission",
                permission.as_str().to_owned(),
            ),
            Error::Denied(Denied::AboveCeiling(role)) => refuse_with(
                PermissionDenied,
                "GRANT_CEILING_EXCEEDED",
                "nobody grants what they do not hold at this organisation",
                "role",
                role.as_str().to_owned(),
            ),
            Error::Denied(Denied::NotInvitable(role)) => refuse_with(
                PermissionDenied,
                "ROLE_NOT_INVITABLE",
                "a service account cannot invite into this role",
                "role",
                role.as_str().to_owned(),
            ),
            Error::DepthExceeded { max_depth } => refuse_with(
                FailedPrecondition,
                "DEPTH_EXCEEDED",
                "the tree may not become deeper",
                "max_depth",
                max_depth.to_string(),
            ),
            Error::InvitationPending { id } => refuse_with(
                AlreadyExists,
                "INVITATION_PENDING",
                "this address has a pending invitation to this organisation; reissue that one",
                "invitation_id",
                id.to_string(),
            ),
            Error::AlreadyMember => refuse(
                AlreadyExists,
                "ALREADY_MEMBER",
                "this person is a member with these roles already",
            ),
            Error::NotPending(state) => not_pending(state),
            Error::InviterLostRight => refuse(
                FailedPrecondition,
                "INVITER_LOST_RIGHT",
                "the inviter may no longer offer these roles; ask for a new invitation",
            ),
            Error::InviteeRequired => {
                refuse(PermissionDenied, "INVITEE_REQUIRED", "only the invitee can accept")
            }
            Error::LinkInvalid => refuse(NotFound, "LINK_INVALID", "this link does not exist"),
            Error::EtagMismatch => {
                refuse(Aborted, "ETAG_MISMATCH", "the organisation changed since it was read")
            }
            Error::ScopeMissing(scope) => refuse_with(
                PermissionDenied,
                "SCOPE_MISSING",
                "the token lacks a scope",
                "required",
                scope.to_owned(),
            ),
            Error::AccountUnusable => refuse(
                FailedPrecondition,
                "ACCOUNT_UNUSABLE",
                "the account of this address cannot be used",
            ),
            Error::Database(error) if db::is_unavailable(&error) => unavailable(error),
            Error::Database(error) => internal(error),
            Error::Peer(status) => peer_unavailable(&status),
            Error::Internal(what) => internal(what),
        }
    }
}

fn not_pending(state: State) -> Status {
    let (reason, message) = match state {
        State::Accepted => ("INVITATION_ACCEPTED", "the invitation was accepted before"),
        State::Revoked => ("INVITATION_REVOKED", "the invitation was taken back"),
        State::Declined => ("INVITATION_DECLINED", "the invitee declined"),
        State::Expired => ("INVITATION_EXPIRED", "the invitation's time is over"),
        // A pending invitation is refused for this reason only if it changed in between.
        State::Pending => return unavailable("an invitation changed while it was changed"),
    };
    refusal(DOMAIN, Code::FailedPrecondition, reason, message, &[], None)
}

fn peer_unavailable(status: &Status) -> Status {
    tracing::warn!(code = ?status.code(), "a peer does not answer");
    refusal(
        DOMAIN,
        Code::Unavailable,
        "PEER_UNAVAILABLE",
        "try again in a moment",
        &[],
        Some(std::time::Duration::from_secs(1)),
    )
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
