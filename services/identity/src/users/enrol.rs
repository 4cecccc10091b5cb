use api::{
    identity::v1::{EnrolUserRequest, EnrolUserResponse},
    organisation::v1::{
        InspectInvitationLinkRequest, InvitationState,
        invitation_service_client::InvitationServiceClient,
    },
};
use kernel::{DisplayName, Fields, Malformed, Uuid, parse_id};
use sea_orm::{EntityTrait as _, QueryFilter as _, entity::prelude::*, sea_query::Expr};
use secrecy::SecretString;
use service::Auth;
use tonic::Code;

use crate::{
    Identity,
    domain::password::NewPassword,
    entity::{session, user},
    error::Error,
};

/// Gives an invited user a name and a password, and signs them in.
///
/// The link is the credential: the organisation service, which sealed it, says whose it is. The
/// change from `invited` to `active` is one compare-and-set, so that one link makes one account
/// however often it is submitted at once. The invitation itself is accepted afterwards, by the
/// enrolled person; a crash in between loses nothing, because the link then leads to sign-in.
pub(crate) async fn enrol(
    identity: &Identity,
    request: EnrolUserRequest,
) -> Result<EnrolUserResponse, Error> {
    let EnrolUserRequest { link_token, display_name, password } = request;
    let mut fields = Fields::default();
    let token = match link_token.len() {
        1..=200 => Ok(link_token),
        _ => Err(Malformed("the token at the end of the mailed link")),
    };
    let token = fields.read("link_token", token);
    let name = fields.read("display_name", DisplayName::parse(&display_name));
    let password = fields.read("password", NewPassword::parse(&password));
    let (Some(token), Some(name), Some(password)) = (token, name, password) else {
        return Err(Error::Invalid(fields));
    };
    let id = invitee_of(identity, token).await?;
    let hash = identity.hashing.hash(SecretString::from(password.into_inner())).await?;

    let now = identity.clock.now();
    let tx = identity.database.begin().await?;
    let changed = user::Entity::update_many()
        .col_expr(user::Column::Status, Expr::value(user::Status::Active))
        .col_expr(user::Column::PasswordHash, Expr::value(hash))
        .col_expr(user::Column::DisplayName, Expr::value(name.as_str()))
        .col_expr(user::Column::UpdatedAt, Expr::value(now))
        .filter(user::Column::Id.eq(id))
        .filter(user::Column::Status.eq(user::Status::Invited))
        .exec(&*tx)
        .await?;
    let user = user::Entity::find_by_id(id).one(&*tx).await?.ok_or(Error::LinkInvalid)?;
    if changed.rows_affected == 0 {
        return Err(Error::AlreadyEnrolled);
    }
    let session = session::begin(&tx, &identity.clock, user.id).await?;
    tx.commit().await?;
    let tokens = identity.tokens(&user, &session)?;
    Ok(EnrolUserResponse { user: Some(user.into()), tokens: Some(tokens) })
}

/// Whose link it is, if it is one that still waits.
async fn invitee_of(identity: &Identity, link_token: String) -> Result<Uuid, Error> {
    let mut client = InvitationServiceClient::new(identity.peers.organisation(Auth::Anonymous));
    let answer = client.inspect_invitation_link(InspectInvitationLinkRequest { link_token }).await;
    let invitation = match answer {
        Ok(answer) => answer.into_inner().invitation.ok_or(Error::LinkInvalid)?,
        Err(status) if status.code() == Code::NotFound => return Err(Error::LinkInvalid),
        Err(status) => return Err(Error::Peer(Box::new(status))),
    };
    match invitation.state() {
        InvitationState::Pending => {
            parse_id(&invitation.invitee_id).map_err(|_| Error::LinkInvalid)
        }
        InvitationState::Expired => Err(Error::LinkExpired),
        InvitationState::Accepted => Err(Error::LinkUsed),
        InvitationState::Revoked | InvitationState::Declined => Err(Error::LinkRevoked),
        InvitationState::Unspecified => Err(Error::LinkInvalid),
    }
}
