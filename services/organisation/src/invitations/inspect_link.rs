use api::organisation::v1::{InspectInvitationLinkRequest, InspectInvitationLinkResponse};
use sea_orm::EntityTrait as _;

use crate::{
    Organisations,
    entity::{invitation, organisation},
    error::Error,
};

/// What a link stands for, so that a page can tell pending, used, expired and revoked apart before
/// anybody types. It changes nothing: mail scanners open links.
///
/// The token is the credential: it is verified by its keyed hash, and only the latest link of an
/// invitation opens.
pub(crate) async fn inspect_link(
    service: &Organisations,
    request: InspectInvitationLinkRequest,
) -> Result<InspectInvitationLinkResponse, Error> {
    let InspectInvitationLinkRequest { link_token } = request;
    let sealed = service.link_key.open(&link_token).ok_or(Error::LinkInvalid)?;
    let database = service.database.read();
    let found = invitation::Entity::find_by_id(sealed.id)
        .find_also_related(organisation::Entity)
        .one(database)
        .await?;
    let Some((found, Some(organisation))) = found else { return Err(Error::LinkInvalid) };
    if found.issue != sealed.generation {
        return Err(Error::LinkInvalid);
    }
    Ok(InspectInvitationLinkResponse {
        invitation: Some(found.seen_at(service.clock.now())),
        organisation_display_name: organisation.display_name,
        ..Default::default()
    })
}
