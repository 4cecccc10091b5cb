use api::organisation::v1::{GetInvitationMailRequest, GetInvitationMailResponse};
use kernel::{Fields, Sealed, parse_id};
use sea_orm::EntityTrait as _;

use crate::{
    Organisations,
    call::Call,
    domain::invitation::State,
    entity::{invitation, organisation, person},
    error::Error,
};

/// What the mail of one issue must say. The link is written here, at every attempt the same, so
/// that no event and no table holds it. An issue that a later event has overtaken, or whose
/// invitation no longer waits, is superseded: nothing is to be sent.
///
/// Needs the scope `invitations.mail`.
pub(crate) async fn get_mail(
    service: &Organisations,
    call: &Call,
    request: GetInvitationMailRequest,
) -> Result<GetInvitationMailResponse, Error> {
    let GetInvitationMailRequest { invitation_id, issue } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("invitation_id", parse_id(&invitation_id)) else {
        return Err(Error::Invalid(fields));
    };
    if !call.has_scope("invitations.mail") {
        return Err(Error::ScopeMissing("invitations.mail"));
    }
    let database = service.database.read();
    let found = invitation::Entity::find_by_id(id)
        .find_also_related(organisation::Entity)
        .one(database)
        .await?;
    let Some((found, Some(organisation))) = found else { return Err(Error::InvitationNotFound) };
    let now = service.clock.now();
    if found.issue != issue || found.state_at(now) != State::Pending {
        return Ok(GetInvitationMailResponse { superseded: true, ..Default::default() });
    }
    let inviter = person::Entity::find_by_id(found.inviter_id).one(database).await?;
    let token = service.link_key.seal(Sealed { id: found.id, generation: found.issue });
    Ok(GetInvitationMailResponse {
        superseded: false,
        // An application that invites speaks for the organisation.
        inviter_display_name: inviter
            .map_or_else(|| organisation.display_name.clone(), |person| person.display_name),
        organisation_display_name: organisation.display_name,
        link: format!("{}/invitations/{token}", service.public_url),
        invitation: Some(found.seen_at(now)),
        ..Default::default()
    })
}
