use api::organisation::v1::{CreateInvitationRequest, CreateInvitationResponse};

use crate::{
    Organisations,
    call::Call,
    error::Error,
    making::make_one,
    prepared::{Grounds, Prepared},
};

/// Invites an address into an organisation.
///
/// Needs `invitations.create` there and every permission of the roles offered; a service account
/// offers invitable roles alone. The invitee's account exists from now on, with status `invited` if
/// it is new. At most one invitation of an address is pending at an organisation, and nobody is
/// invited to what they hold already. What the organisation and those above it say of domains and of
/// existing accounts holds. Event: `organisation.invitation.created.v1`, which becomes the mail.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateInvitationRequest,
) -> Result<CreateInvitationResponse, Error> {
    let prepared = Prepared::read(service, call, &mut Grounds::default(), request).await?;
    prepared.count(service, call).await?;
    let account = prepared.account(service).await?;

    let change = service.begin(call).await?;
    let made = make_one(service, &change, call, prepared, account).await?;
    let seen = made.seen_at(change.now);
    change.commit(CreateInvitationResponse { invitation: Some(seen) }).await
}

#[cfg(test)]
mod tests;
