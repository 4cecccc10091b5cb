use api::organisation::v1::{GetInvitationRequest, GetInvitationResponse};
use kernel::{Fields, parse_id};
use sea_orm::EntityTrait as _;
use service::Caller;

use crate::{
    Organisations,
    domain::permission::Permission,
    entity::{invitation, membership},
    error::Error,
};

/// One invitation. Needs `invitations.read` at its organisation, or to be the invitee.
pub(crate) async fn get(
    service: &Organisations,
    caller: &Caller,
    request: GetInvitationRequest,
) -> Result<GetInvitationResponse, Error> {
    let GetInvitationRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let found = invitation::Entity::find_by_id(id).one(database).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    if found.invitee_id != caller.subject {
        let rights = membership::rights(database, caller.subject, found.organisation_id).await?;
        if !rights.allow(Permission::InvitationsRead) {
            return Err(Error::InvitationNotFound);
        }
    }
    Ok(GetInvitationResponse { invitation: Some(found.seen_at(service.clock.now())) })
}
