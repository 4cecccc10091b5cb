use api::organisation::v1::{GetInvitationRequest, GetInvitationResponse};
use kernel::{Fields, parse_id};
use sea_orm::entity::prelude::*;

use crate::{Organisations, call::Call, entity::invitation, error::Error};

/// One invitation. Needs `invitations.read` at its organisation, or to be the invitee.
pub(crate) async fn get(
    service: &Organisations,
    call: &Call,
    request: GetInvitationRequest,
) -> Result<GetInvitationResponse, Error> {
    let GetInvitationRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    let (database, now) = (service.database.read(), service.clock.now());
    let found = match invitation::seen_by(database, id, call, now).await? {
        Some((found, _)) => found,
        None => {
            let own = invitation::Entity::find_by_id(id)
                .filter(invitation::Column::InviteeId.eq(call.subject));
            own.one(database).await?.ok_or(Error::InvitationNotFound)?
        }
    };
    Ok(GetInvitationResponse { invitation: Some(found.seen_at(now)) })
}
