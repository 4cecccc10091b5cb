use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    forms,
    link::{Link, LinkToken},
    stop::Stop,
};
use crate::{clients::Gateway, pages::errors::Errors};

/// `GET /invitations/{token}`: what is offered, to whom and until when, with the form that fits the
/// invitee's account.
///
/// Errors: a page of its own for every reason why a link cannot be used: 404 if it is no link of
/// ours or was replaced, 410 if it was used, has expired or was taken back.
pub(super) async fn open(
    State(gateway): State<Gateway>,
    token: LinkToken,
) -> Result<Response, Stop> {
    let link = Link::read(&gateway, token).await?;
    Ok(if link.is_enrolled {
        forms::sign_in(StatusCode::OK, &link, Errors::default())
    } else {
        let display_name = &link.invitation.display_name;
        forms::enrolment(StatusCode::OK, &link, display_name, Errors::default())
    })
}
