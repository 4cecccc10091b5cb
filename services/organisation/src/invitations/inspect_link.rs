use api::organisation::v1::{InspectInvitationLinkRequest, InspectInvitationLinkResponse};

use crate::{Organisations, entity::invitation::Around, error::Error};

/// What a link stands for, so that a page can tell pending, used, expired and revoked apart before
/// anybody types, and lead the person on afterwards. It changes nothing: mail scanners open links.
///
/// The token is the credential: it is verified by its keyed hash, and only the latest link of an
/// invitation opens.
pub(crate) async fn inspect_link(
    service: &Organisations,
    request: InspectInvitationLinkRequest,
) -> Result<InspectInvitationLinkResponse, Error> {
    let InspectInvitationLinkRequest { link_token } = request;
    let sealed = service.link_key.open(&link_token).ok_or(Error::LinkInvalid)?;
    let found = Around::find(service.database.read(), sealed.id).await?;
    let found = found.filter(|found| found.invitation.issue == sealed.generation);
    let Around { invitation, organisation_name, inviter_name, application } =
        found.ok_or(Error::LinkInvalid)?;
    let redirect_url = application.as_ref().and_then(|it| it.redirect_url()).map(str::to_owned);
    Ok(InspectInvitationLinkResponse {
        invitation: Some(invitation.seen_at(service.clock.now())),
        organisation_display_name: organisation_name,
        application_display_name: application.map(|it| it.display_name).unwrap_or_default(),
        redirect_url: redirect_url.unwrap_or_default(),
        inviter_display_name: inviter_name,
    })
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::{
        InspectInvitationLinkRequest, InspectInvitationLinkResponse, Invitation,
    };
    use kernel::Sealed;
    use testkit::Bench;

    use crate::{
        invitations::tests::{application, invite, invite_with, reissue},
        testing::{Stage, Who, reason},
    };

    testkit::on_both_databases!(
        a_link_tells_who_invites_whom_where_and_what_for,
        only_the_latest_link_opens,
    );

    fn link(stage: &Stage, invitation: &Invitation) -> String {
        let id = invitation.id.parse().unwrap();
        stage.service.link_key.seal(Sealed { id, generation: invitation.issue })
    }

    async fn inspect(
        who: &Who,
        link_token: String,
    ) -> Result<InspectInvitationLinkResponse, tonic::Status> {
        let request = InspectInvitationLinkRequest { link_token };
        Ok(who.invitations().inspect_invitation_link(request).await?.into_inner())
    }

    async fn a_link_tells_who_invites_whom_where_and_what_for(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let shop = application(&stage, &root, "Shop", false).await;
        let invitation = invite_with(&owner, &root, "ada@example.com", |request| {
            request.application_id = shop.clone();
            request.personal_message = "Welcome!".to_owned();
        });
        let invitation = invitation.await.unwrap();
        let seen = inspect(&owner, link(&stage, &invitation)).await.unwrap();
        assert_eq!(seen.organisation_display_name, "ABC Holdings");
        assert_eq!(seen.application_display_name, "Shop");
        assert_eq!(seen.redirect_url, "https://shop.example.com/start");
        assert_eq!(seen.inviter_display_name, "abc-holdings-owner");
        assert_eq!(seen.invitation.unwrap().personal_message, "Welcome!");
    }

    async fn only_the_latest_link_opens(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let first = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
        let second = reissue(&owner, &first.id).await.unwrap();
        assert_eq!(reason(inspect(&owner, link(&stage, &first)).await), "LINK_INVALID");
        inspect(&owner, link(&stage, &second)).await.unwrap();
    }
}
