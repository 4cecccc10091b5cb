use axum::{extract::State, response::Response};

use super::{
    join::join,
    link::{Link, LinkToken},
    sign_in::sign_in,
    stop::Stop,
};
use crate::{clients::Gateway, pages::form::Form};

/// `POST /invitations/{token}/accept`: signs the invitee in, with the address that was invited and
/// no other, and makes them a member.
///
/// Errors: 422 with the form for a wrong password; 429 with the form and the time to try again; the
/// pages of [`super::open`].
pub(super) async fn accept(
    State(gateway): State<Gateway>,
    token: LinkToken,
    form: Form,
) -> Result<Response, Stop> {
    let link = Link::read(&gateway, token).await?;
    let invitee = sign_in(&gateway, &link, &form).await?;
    join(&gateway, &link, invitee).await
}
