use api::organisation::v1::{GetInvitationMailRequest, GetInvitationMailResponse};
use kernel::{Fields, Sealed, parse_id};

use crate::{
    Organisations, call::Call, domain::invitation::State, entity::invitation::Around, error::Error,
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
    let found = Around::find(service.database.read(), id).await?;
    let Around { invitation, organisation_name, inviter_name, application } =
        found.ok_or(Error::InvitationNotFound)?;
    let now = service.clock.now();
    if invitation.issue != issue || invitation.state_at(now) != State::Pending {
        return Ok(GetInvitationMailResponse { superseded: true, ..Default::default() });
    }
    let token = service.link_key.seal(Sealed { id, generation: invitation.issue });
    Ok(GetInvitationMailResponse {
        superseded: false,
        organisation_display_name: organisation_name,
        inviter_display_name: inviter_name,
        link: format!("{}/invitations/{token}", service.public_url),
        invitation: Some(invitation.seen_at(now)),
        application_display_name: application.map(|it| it.display_name).unwrap_or_default(),
    })
}
