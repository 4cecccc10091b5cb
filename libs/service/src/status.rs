use std::{collections::HashMap, fmt, time::Duration};

use kernel::Fields;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// A refusal with its documented reason (`google.rpc.ErrorInfo`), what belongs to it, and when to
/// try again if that is known.
pub fn refusal(
    domain: &str,
    code: Code,
    reason: &str,
    message: impl Into<String>,
    metadata: &[(&str, String)],
    retry_after: Option<Duration>,
) -> Status {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut details = ErrorDetails::with_error_info(reason, domain, metadata);
    if let Some(after) = retry_after {
        details.set_retry_info(Some(after));
    }
    Status::with_error_details(code, message, details)
}

/// Malformed input: `INVALID_ARGUMENT` with every wrong field (`google.rpc.BadRequest`).
pub fn invalid(fields: &Fields) -> Status {
    let mut details = ErrorDetails::new();
    for violation in fields.violations() {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    Status::with_error_details(Code::InvalidArgument, format!("invalid request: {fields}"), details)
}

/// Something that should not happen: logged here, once, and answered without its cause.
pub fn internal(error: impl fmt::Display) -> Status {
    tracing::error!(%error, "internal error");
    Status::internal("internal error")
}

/// Something that is down and may come back: logged here, once, and answered without its cause.
pub fn unavailable(error: impl fmt::Display) -> Status {
    tracing::warn!(%error, "unavailable");
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::Unavailable, "try again in a moment", details)
}
