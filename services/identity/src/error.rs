use std::time::Duration;

use db::DbErr;
use kernel::Fields;
use service::{internal, invalid, refusal, unavailable};
use tonic::{Code, Status};

/// Why a use case was not carried out. The reasons are documented in
/// `proto/usher/identity/v1/errors.proto`.
#[derive(Debug)]
pub(crate) enum Error {
    Invalid(Fields),
    CredentialsInvalid,
    TooManyAttempts { retry_after: Duration },
    RefreshTokenInvalid,
    RefreshTokenReused,
    ScopeMissing(&'static str),
    UserNotFound,
    AlreadyEnrolled,
    LinkInvalid,
    LinkExpired,
    LinkRevoked,
    LinkUsed,
    ServiceAccountExists,
    ServiceAccountNotFound,
    TokenInvalid,
    Busy,
    Database(DbErr),
    Peer(Box<Status>),
    Internal(String),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        use Code::{
            AlreadyExists, FailedPrecondition, NotFound, PermissionDenied, Unauthenticated,
        };
        let refuse = |code, reason, message: &str| {
            refusal("identity.usher", code, reason, message, &[], None)
        };
        match error {
            Error::Invalid(fields) => invalid(&fields),
            Error::CredentialsInvalid => refuse(
                Unauthenticated,
                "CREDENTIALS_INVALID",
                "the address and the password do not belong together",
            ),
            Error::TooManyAttempts { retry_after } => refusal(
                "identity.usher",
                Code::ResourceExhausted,
                "TOO_MANY_ATTEMPTS",
                "too many failed sign-ins; try again later",
                &[],
                Some(retry_after),
            ),
            Error::RefreshTokenInvalid => {
                refuse(Unauthenticated, "REFRESH_TOKEN_INVALID", "the session has ended; sign in")
            }
            Error::RefreshTokenReused => refuse(
                Unauthenticated,
                "REFRESH_TOKEN_REUSED",
                "the refresh token was used before, so the session has been ended; sign in",
            ),
            Error::ScopeMissing(scope) => refusal(
                "identity.usher",
                PermissionDenied,
                "SCOPE_MISSING",
                format!("{scope} is needed"),
                &[("required", scope.to_owned())],
                None,
            ),
            Error::UserNotFound => refuse(NotFound, "USER_NOT_FOUND", "there is no such user"),
            Error::AlreadyEnrolled => refuse(
                FailedPrecondition,
                "ALREADY_ENROLLED",
                "this person has an account already; sign in",
            ),
            Error::LinkInvalid => refuse(NotFound, "LINK_INVALID", "this link does not exist"),
            Error::LinkExpired => {
                refuse(FailedPrecondition, "LINK_EXPIRED", "this link's time is over")
            }
            Error::LinkRevoked => {
                refuse(FailedPrecondition, "LINK_REVOKED", "the invitation was taken back")
            }
            Error::LinkUsed => {
                refuse(FailedPrecondition, "LINK_USED", "this link has been used; sign in")
            }
            Error::ServiceAccountExists => refuse(
                AlreadyExists,
                "SERVICE_ACCOUNT_EXISTS",
                "a service account of this name exists",
            ),
            Error::ServiceAccountNotFound => {
                refuse(NotFound, "SERVICE_ACCOUNT_NOT_FOUND", "there is no such service account")
            }
            Error::TokenInvalid => {
                refuse(Unauthenticated, "TOKEN_INVALID", "a valid access token is needed")
            }
            Error::Busy => refusal(
                "identity.usher",
                Code::Unavailable,
                "BUSY",
                "too many passwords are being checked; try again",
                &[],
                Some(Duration::from_secs(1)),
            ),
            Error::Database(error) if db::is_unavailable(&error) => unavailable(error),
            Error::Database(error) => internal(error),
            Error::Peer(status) => unavailable(format_args!("a peer answered {:?}", status.code())),
            Error::Internal(what) => internal(what),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}
