use api::organisation::v1::{
    InvitationDeliveryState, InvitationState, ListInvitationsRequest,
    invitation_service_client::InvitationServiceClient,
};

use super::{
    super::{
        output::{Out, Output},
        refusal::told,
        session::Session,
    },
    DeliveryState, State, shown,
};

/// Which invitations.
pub(super) struct Which {
    pub(super) organisation: String,
    pub(super) recursive: bool,
    pub(super) state: Option<State>,
    pub(super) delivery_state: Option<DeliveryState>,
    pub(super) limit: u32,
}

pub(super) async fn list(
    session: &mut Session,
    which: Which,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let Which { organisation, recursive, state, delivery_state, limit } = which;
    let state = state.map_or(InvitationState::Unspecified, |state| match state {
        State::Pending => InvitationState::Pending,
        State::Accepted => InvitationState::Accepted,
        State::Declined => InvitationState::Declined,
        State::Revoked => InvitationState::Revoked,
        State::Expired => InvitationState::Expired,
    });
    use InvitationDeliveryState as Fares;
    let delivery_state = delivery_state.map_or(Fares::Unspecified, |state| match state {
        DeliveryState::Queued => Fares::Queued,
        DeliveryState::Sent => Fares::Sent,
        DeliveryState::Failed => Fares::Failed,
        DeliveryState::Bounced => Fares::Bounced,
        DeliveryState::Suppressed => Fares::Suppressed,
    });
    let (mut found, mut left, mut page_token) = (Vec::new(), limit, String::new());
    loop {
        let request = ListInvitationsRequest {
            organisation_id: organisation.clone(),
            recursive,
            state: state.into(),
            delivery_state: delivery_state.into(),
            page_size: i32::try_from(left.min(100))?,
            page_token,
            ..Default::default()
        };
        let mut client = InvitationServiceClient::new(session.organisation().await?);
        let page = client.list_invitations(request).await.map_err(|it| told(&it))?.into_inner();
        left = left.saturating_sub(u32::try_from(page.invitations.len())?);
        found.extend(page.invitations);
        page_token = page.next_page_token;
        if left == 0 || page_token.is_empty() {
            return shown::many(found, output, out);
        }
    }
}
