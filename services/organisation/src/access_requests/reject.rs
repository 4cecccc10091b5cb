use api::organisation::v1::{RejectAccessRequestRequest, RejectAccessRequestResponse};
use kernel::{Fields, parse_id};

use super::{require_decider, require_pending, seen_again, settled_before};
use crate::{
    Organisations,
    call::Call,
    domain::access_request::Reason,
    entity::access_request::{self, Decision, State},
    error::Error,
};

/// Refuses what was asked for, with a reason.
///
/// Needs the same as approving, except that what was asked for may be gone. Event:
/// `organisation.access_request.rejected.v1`; mails to the requester and to the others who could
/// have decided.
pub(crate) async fn reject(
    service: &Organisations,
    call: &Call,
    request: RejectAccessRequestRequest,
) -> Result<RejectAccessRequestResponse, Error> {
    let RejectAccessRequestRequest { id, reason, request_id: _ } = request;
    let mut fields = Fields::default();
    let id = fields.read("id", parse_id(&id));
    let reason = fields.read("reason", Reason::parse_needed(&reason));
    let (Some(id), Some(reason)) = (id, reason) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let seen = access_request::seen_by(&*change, id, call, change.now).await?;
    let found = seen.ok_or(Error::AccessRequestNotFound)?;
    require_decider(&change, call, &found).await?;
    require_pending(&found, change.now)?;
    let decision = Decision { by: Some(call.subject), reason: reason.as_str() };
    if !access_request::conclude(&change, &found, State::Rejected, decision).await? {
        return Err(settled_before(&change, &found).await?);
    }
    let access_request = Some(seen_again(&change, &found).await?);
    change.commit(RejectAccessRequestResponse { access_request }).await
}
