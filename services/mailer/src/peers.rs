//! What peers answer, and what their refusals mean to a message.

use api::identity::v1::{GetUserRequest, User, UserStatus, user_service_client::UserServiceClient};
use chrono::SecondsFormat;
use kernel::Time;
use prost_types::Timestamp;
use service::{Auth, Refusal};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::Mailer;

/// Whether the same call may succeed later, unchanged.
pub(crate) fn is_passing(status: &Status) -> bool {
    !matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}

/// The refusal of a message because of a call. It says which call and which code: a peer's words
/// are not repeated, they could hold personal data. What somebody else has (`ABORTED`) comes again when
/// that may have ended, and waiting for it is no attempt: it may be a worker that has crashed.
pub(crate) fn refusal(call: &'static str, status: &Status) -> Refusal {
    let what = format!("{call}: {:?}", status.code());
    if status.code() == Code::Aborted {
        let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
        return Refusal::Later(told.unwrap_or_default(), what);
    }
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

/// The account that a mail is to reach: one that is active or invited. A closed one gets no mail.
pub(crate) async fn open_account(
    mailer: &Mailer,
    auth: Auth,
    id: &str,
) -> Result<Option<User>, Refusal> {
    let mut client = UserServiceClient::new(mailer.peers.identity(auth));
    let answer = client.get_user(GetUserRequest { id: id.to_owned() }).await;
    let answer = answer.map_err(|status| refusal("GetUser", &status))?.into_inner();
    let user = answer.user.ok_or_else(|| incomplete("GetUser"))?;
    match user.status() {
        UserStatus::Active | UserStatus::Invited => Ok(Some(user)),
        status @ (UserStatus::Suspended | UserStatus::Disposed) => {
            tracing::info!(account = status.as_str_name(), "closed: no mail");
            Ok(None)
        }
        UserStatus::Unspecified => Err(incomplete("GetUser")),
    }
}

/// A moment as templates want it (RFC 3339); `None` if it is missing or none.
pub(crate) fn moment(at: Option<Timestamp>) -> Option<String> {
    let at = at?;
    let time = Time::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn what_somebody_else_has_comes_again_when_their_claim_has_lapsed() {
        let left = Duration::from_secs(37);
        let details = ErrorDetails::with_retry_info(Some(left));
        let held = Status::with_error_details(Code::Aborted, "held", details);
        for (status, left) in [(held, left), (Status::aborted("held"), Duration::ZERO)] {
            let later = Refusal::Later(left, "ClaimDelivery: Aborted".to_owned());
            assert_eq!(refusal("ClaimDelivery", &status), later);
        }
    }
}
