use api::organisation::v1::{GetInvitationMailRequest, GetInvitationMailResponse};
use kernel::{Fields, Sealed, parse_id};

use crate::{
    Organisations,
    call::Call,
    domain::invitation::State,
    entity::{invitation::Around, organisation},
    error::Error,
};

/// What the mail of one issue must say. The link is written here, at every attempt the same, so
/// that no event and no table holds it. An issue that a later event has overtaken, or whose
/// invitation no longer waits, is superseded: nothing is to be sent. The mail that tells that an
/// invitation has expired is superseded if it has not, and has no link.
///
/// Needs the scope `invitations.mail`.
pub(crate) async fn get_mail(
    service: &Organisations,
    call: &Call,
    request: GetInvitationMailRequest,
) -> Result<GetInvitationMailResponse, Error> {
    let GetInvitationMailRequest { invitation_id, issue, expired } = request;
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
    let told = if expired { State::Expired } else { State::Pending };
    if invitation.issue != issue || invitation.state_at(now) != told {
        return Ok(GetInvitationMailResponse { superseded: true, ..Default::default() });
    }
    let link = if expired {
        String::new()
    } else {
        let token = service.link_key.seal(Sealed { id, generation: invitation.issue });
        format!("{}/invitations/{token}", service.public_url)
    };
    let at = invitation.organisation_id;
    Ok(GetInvitationMailResponse {
        superseded: false,
        organisation_display_name: organisation_name,
        inviter_display_name: inviter_name,
        link,
        organisation_path: organisation::path(service.database.read(), at).await?,
        invitation: Some(invitation.seen_at(now)),
        application_display_name: application.map(|it| it.display_name).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use kernel::Duration;
    use testkit::Bench;

    use super::*;
    use crate::testing::Stage;

    testkit::on_both_databases!(that_it_has_expired_is_told_once_it_has_and_without_a_link);

    async fn that_it_has_expired_is_told_once_it_has_and_without_a_link(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let child = stage.organisation(&owner, "Child", &root).await;
        let id = stage.invite(&owner, &child, "ada@example.com").await;
        let ask = async |issue, expired| {
            let mailer = stage.account("mailer", "invitations.mail");
            let request = GetInvitationMailRequest { invitation_id: id.clone(), issue, expired };
            mailer.invitations().get_invitation_mail(request).await.unwrap().into_inner()
        };
        let invites = ask(1, false).await;
        assert!(invites.link.contains("/invitations/"));
        assert_eq!(invites.organisation_path, [root, child]);
        assert!(ask(1, true).await.superseded, "it waits");

        stage.pass(Duration::hours(48));
        assert!(ask(1, false).await.superseded);
        assert!(ask(2, true).await.superseded, "another issue");
        let tells = ask(1, true).await;
        assert_eq!((tells.superseded, tells.link.as_str()), (false, ""));
        assert_eq!(tells.invitation.unwrap().email, "ada@example.com");
        assert_eq!(tells.organisation_path, invites.organisation_path);
    }
}
