use api::organisation::v1::{
    CreateInvitationRequest, Invitation, invitation_service_client::InvitationServiceClient,
};

use super::{
    super::{refusal::told, session::Connection},
    Invitee,
};

pub(super) async fn create(
    mut client: InvitationServiceClient<Connection>,
    invitee: Invitee,
) -> anyhow::Result<Option<Invitation>> {
    let request = CreateInvitationRequest {
        organisation_id: invitee.organisation,
        email: invitee.invitee,
        roles: invitee.role,
        first_name: invitee.first_name,
        last_name: invitee.last_name,
        institution: invitee.institution,
        locale: invitee.locale,
        application_id: invitee.application,
        personal_message: invitee.message,
        ..Default::default()
    };
    let answer = client.create_invitation(request).await.map_err(|it| told(&it))?;
    Ok(answer.into_inner().invitation)
}
