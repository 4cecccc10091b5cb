//! Refusals as RFC 9457 problems, and the one table from gRPC codes to HTTP.
//!
//! A problem's `reason` is that of the service which refused (`google.rpc.ErrorInfo`), documented
//! with its `ErrorReason`, or one of the gateway's own:
//!
//! | Status | Reason | When |
//! |---|---|---|
//! | 400 | `INVALID_ARGUMENT` | `errors` names every wrong field |
//! | 400 | `BODY_MALFORMED` | the body is not the JSON object, or the form, that it should be |
//! | 401 | `TOKEN_INVALID` | no bearer token, or something that cannot be one |
//! | 403 | `FORM_FOREIGN` | a form was sent from another site |
//! | 404 | `PATH_UNKNOWN` | there is nothing at this path |
//! | 405 | `METHOD_NOT_ALLOWED` | the path has other methods; `Allow` lists them |
//! | 412 | `ETAG_MISMATCH` | `If-Match` named a version that is gone |
//! | 413 | `BODY_TOO_LARGE` | the body is larger than the setting `body_bytes` |
//! | 415 | `CONTENT_TYPE_UNSUPPORTED` | the body is not of the content type that the path takes |
//! | 421 | `HOST_UNKNOWN` | the mailbox was asked for by a name that is not this machine's |
//! | 500 | `INTERNAL` | something that should not happen |
//! | 503 | `OVERLOADED` | as many requests are in flight as may be |
//! | 503 | `UNAVAILABLE` | a service that is needed does not answer |
//! | 504 | `DEADLINE_EXCEEDED` | the request took longer than it may |

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use kernel::Violation;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use utoipa::ToSchema;

/// A refusal. As a response it is `application/problem+json`, and it also travels in the
/// response's extensions, so that [`crate::pages`] can show it to a person instead.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub status: StatusCode,
    /// UPPER_SNAKE; public API.
    pub reason: Cow<'static, str>,
    /// What happened, for people.
    pub detail: Cow<'static, str>,
    /// Every wrong field.
    pub errors: Vec<Violation>,
    /// What belongs to the reason, as documented with it: `{"permission": "invitations.create"}`.
    pub metadata: BTreeMap<String, String>,
    /// When to try again, if that is known.
    pub retry_after: Option<Duration>,
}

/// What a service that is away, or a gateway that has too much to do, is likely to need.
const MOMENT: Duration = Duration::from_secs(1);

impl Problem {
    pub fn new(
        status: StatusCode,
        reason: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            reason: reason.into(),
            detail: detail.into(),
            errors: Vec::new(),
            metadata: BTreeMap::new(),
            retry_after: None,
        }
    }

    /// Wrong fields, all at once.
    pub fn invalid(errors: Vec<Violation>) -> Self {
        let problem = Self::new(
            StatusCode::BAD_REQUEST,
            "INVALID_ARGUMENT",
            "Some fields are not what they should be.",
        );
        Self { errors, ..problem }
    }

    /// A body that cannot be read as what it should be.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BODY_MALFORMED", detail)
    }

    /// No token, or something that cannot be one: known without asking anybody.
    pub fn token_invalid() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "TOKEN_INVALID", "A valid access token is needed.")
    }

    /// Nothing is here.
    pub fn path_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "PATH_UNKNOWN", "There is nothing at this path.")
    }

    /// Something that should not happen; its cause is logged by whoever found it.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "Something went wrong on our side.",
        )
    }

    /// Too much is in flight.
    pub fn overloaded() -> Self {
        let detail = "There is too much to do at the moment; try again.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", detail);
        Self { retry_after: Some(MOMENT), ..problem }
    }

    /// The time is over. What was asked for may have happened all the same.
    pub fn deadline_exceeded() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "DEADLINE_EXCEEDED",
            "The request took longer than it may.",
        )
    }

    /// Names the fields as the caller of this endpoint knows them: `("roles", "role")` makes
    /// `role` of `roles` and of `roles[0]`, and `("organisation.", "")` takes a prefix away.
    pub fn renaming(mut self, theirs: &str, ours: &str) -> Self {
        for error in &mut self.errors {
            match error.field.strip_prefix(theirs) {
                Some(rest) if theirs.ends_with('.') => error.field = format!("{ours}{rest}"),
                Some(rest) if rest.is_empty() || rest.starts_with(['[', '.']) => {
                    error.field = ours.to_owned();
                }
                _ => {}
            }
        }
        self
    }

    /// What is answered.
    pub fn document(&self) -> Document {
        Document {
            r#type: format!("urn:usher:problem:{}", self.reason.to_lowercase().replace('_', "-")),
            title: self.title(),
            status: self.status.as_u16(),
            detail: self.detail.clone().into_owned(),
            reason: self.reason.clone().into_owned(),
            errors: self.errors.iter().map(FieldError::from).collect(),
            metadata: self.metadata.clone(),
        }
    }

    /// Whole seconds, rounded up, at least one: what `Retry-After` can say.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let after = self.retry_after?;
        Some(after.as_secs() + u64::from(after.subsec_nanos() > 0)).map(|seconds| seconds.max(1))
    }

    /// `GRANT_CEILING_EXCEEDED` as `Grant ceiling exceeded`: a title belongs to its type
    /// (RFC 9457, section 3.1.3).
    pub fn title(&self) -> String {
        let words = self.reason.to_lowercase().replace('_', " ");
        let mut letters = words.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect()
    }
}

/// The table. A code that is not in it says nothing that a caller could act on.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Our client says `CANCELLED` when the time that it was given is over.
        Code::DeadlineExceeded | Code::Cancelled => StatusCode::GATEWAY_TIMEOUT,
        Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// The reason of a refusal that has no `ErrorInfo`: its code.
fn reason_of(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument | Code::OutOfRange => "INVALID_ARGUMENT",
        Code::Unauthenticated => "TOKEN_INVALID",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::Aborted => "ABORTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unavailable => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let http = http_status(status.code());
        let details = status.get_error_details();
        if http.is_server_error() {
            let message = status.message();
            tracing::warn!(code = ?status.code(), message, "a peer did not do its part");
        }
        match http {
            StatusCode::INTERNAL_SERVER_ERROR => return Self::internal(),
            StatusCode::GATEWAY_TIMEOUT => return Self::deadline_exceeded(),
            _ => {}
        }
        let problem = match details.error_info() {
            Some(info) => Self {
                metadata: info.metadata.clone().into_iter().collect(),
                ..Self::new(http, info.reason.clone(), status.message().to_owned())
            },
            // What the transport says of a peer that is away names addresses.
            None if http == StatusCode::SERVICE_UNAVAILABLE => {
                Self::new(http, "UNAVAILABLE", "A service that this needs does not answer.")
            }
            None => Self::new(http, reason_of(status.code()), status.message().to_owned()),
        };
        Self { errors: violations(&details), retry_after: retry_after(http, &details), ..problem }
    }
}

fn violations(details: &ErrorDetails) -> Vec<Violation> {
    let listed = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    let violation =
        |v: tonic_types::FieldViolation| Violation { field: v.field, description: v.description };
    listed.into_iter().map(violation).collect()
}

fn retry_after(http: StatusCode, details: &ErrorDetails) -> Option<Duration> {
    let told = details.retry_info().and_then(|info| info.retry_delay);
    let waits = matches!(http, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    told.or(waits.then_some(MOMENT))
}

/// A refusal (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// `urn:usher:problem:` and the reason.
    r#type: String,
    /// The reason in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened, for people.
    detail: String,
    /// What happened, for programs: its meaning never changes.
    reason: String,
    /// Every wrong field at once.
    errors: Vec<FieldError>,
    /// What belongs to the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

/// One wrong field.
#[derive(Serialize, ToSchema)]
struct FieldError {
    /// Its path, as the caller spelled it.
    field: String,
    /// What is wrong with it.
    message: String,
}

impl From<&Violation> for FieldError {
    fn from(violation: &Violation) -> Self {
        Self { field: violation.field.clone(), message: violation.description.clone() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status() {
        for (code, status) in [
            (Code::InvalidArgument, 400),
            (Code::OutOfRange, 400),
            (Code::Unauthenticated, 401),
            (Code::PermissionDenied, 403),
            (Code::NotFound, 404),
            (Code::AlreadyExists, 409),
            (Code::Aborted, 409),
            (Code::FailedPrecondition, 409),
            (Code::ResourceExhausted, 429),
            (Code::Unavailable, 503),
            (Code::DeadlineExceeded, 504),
            (Code::Cancelled, 504),
            (Code::Unknown, 500),
            (Code::Unimplemented, 500),
            (Code::Internal, 500),
            (Code::DataLoss, 500),
        ] {
            let problem = Problem::from(Status::new(code, "cause"));
            assert_eq!(problem.status, status, "{code:?}");
            let waits = matches!(status, 429 | 503);
            assert_eq!(problem.retry_after_seconds(), waits.then_some(1), "{code:?}");
        }
    }

    #[test]
    fn what_the_transport_says_stays_inside_and_what_a_service_says_does_not() {
        let away = Problem::from(Status::unavailable("tcp connect error: 10.0.0.7"));
        assert_eq!(away.reason, "UNAVAILABLE");
        assert!(!away.detail.contains("10.0.0.7"));
        let after = Some(Duration::from_secs(2));
        let busy =
            service::refusal("identity.usher", Code::Unavailable, "BUSY", "Busy.", &[], after);
        let busy = Problem::from(busy);
        assert_eq!((&*busy.reason, &*busy.detail), ("BUSY", "Busy."));
        assert_eq!(busy.retry_after_seconds(), Some(2));
    }

    #[test]
    fn fields_are_named_as_the_caller_spelled_them() {
        let named = |field: &str, theirs, ours| {
            let violation = Violation { field: field.to_owned(), description: String::new() };
            Problem::invalid(vec![violation]).renaming(theirs, ours).errors[0].field.clone()
        };
        assert_eq!(named("roles[1]", "roles", "role"), "role");
        assert_eq!(named("roles", "roles", "role"), "role");
        assert_eq!(named("rolestring", "roles", "role"), "rolestring");
        assert_eq!(named("organisation.display_name", "organisation.", ""), "display_name");
        assert_eq!(named("organisation_id", "organisation.", ""), "organisation_id");
    }
}
