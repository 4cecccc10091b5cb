//! What a peer's refusal means to a message.

use service::Refusal;
use tonic::{Code, Status};

/// Whether the same call may succeed later, unchanged.
pub(crate) fn is_passing(status: &Status) -> bool {
    !matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}

/// The refusal of a message because of a call. It says which call and which code: a peer's words
/// are not repeated, they could hold personal data.
pub(crate) fn refusal(call: &'static str, status: &Status) -> Refusal {
    let what = format!("{call}: {:?}", status.code());
    if is_passing(status) { Refusal::Retry(what) } else { Refusal::Reject(what) }
}

/// The refusal of a message for want of a token of our own. Whatever is wrong with the account is
/// for an operator to mend; the message has nothing to do with it.
pub(crate) fn no_token(status: &Status) -> Refusal {
    Refusal::Retry(format!("IssueServiceToken: {:?}", status.code()))
}

/// The refusal of a message because of an answer in which something is missing. It may be another
/// version's, in the middle of an upgrade.
pub(crate) fn incomplete(call: &'static str) -> Refusal {
    Refusal::Retry(format!("{call}: the answer is incomplete"))
}
