use api::organisation::v1::{WithdrawAccessRequestRequest, WithdrawAccessRequestResponse};
use kernel::{Fields, parse_id};

use super::{require_pending, seen_again, settled_before};
use crate::{
    Organisations,
    call::Call,
    entity::access_request::{self, Decision, State},
    error::Error,
};

/// Takes a pending request back; withdrawing twice is once. By the requester alone.
///
/// Event: `organisation.access_request.withdrawn.v1`; mails to those who could have decided.
pub(crate) async fn withdraw(
    service: &Organisations,
    call: &Call,
    request: WithdrawAccessRequestRequest,
) -> Result<WithdrawAccessRequestResponse, Error> {
    let WithdrawAccessRequestRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let seen = access_request::seen_by(&*change, id, call, change.now).await?;
    let found = seen.ok_or(Error::AccessRequestNotFound)?;
    if found.requester_id != call.subject {
        return Err(Error::RequesterRequired);
    }
    if found.state != State::Withdrawn {
        require_pending(&found, change.now)?;
        let decision = Decision { by: Some(call.subject), reason: "" };
        if !access_request::conclude(&change, &found, State::Withdrawn, decision).await? {
            return Err(settled_before(&change, &found).await?);
        }
    }
    let access_request = Some(seen_again(&change, &found).await?);
    change.commit(WithdrawAccessRequestResponse { access_request }).await
}
