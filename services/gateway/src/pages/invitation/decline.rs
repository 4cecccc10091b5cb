use api::organisation::v1::DeclineInvitationRequest;
use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    link::{Link, LinkToken},
    sign_in::{sign_in, sign_out},
    stop::Stop,
};
use crate::{
    clients::Gateway,
    pages::{form::Form, page},
};

#[derive(Template)]
#[template(path = "invitation/declined.html")]
struct Declined<'a> {
    link: &'a Link,
}

/// `POST /invitations/{token}/decline`: signs the invitee in as for accepting, so that nobody else
/// can say no for them, and declines.
///
/// Errors: as for [`super::accept`].
pub(super) async fn decline(
    State(gateway): State<Gateway>,
    token: LinkToken,
    form: Form,
) -> Result<Response, Stop> {
    let link = Link::read(&gateway, token).await?;
    let invitee = sign_in(&gateway, &link, &form).await?;
    let request = DeclineInvitationRequest { id: link.invitation.id.clone(), ..Default::default() };
    let declined = gateway.invitations(invitee.clone()).decline_invitation(request).await;
    sign_out(&gateway, invitee).await;
    declined?;
    Ok(page(StatusCode::OK, &Declined { link: &link }))
}
