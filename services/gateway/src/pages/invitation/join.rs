use api::organisation::v1::AcceptInvitationRequest;
use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use service::Auth;

use super::{link::Link, sign_in::sign_out, stop::Stop};
use crate::{
    clients::Gateway,
    pages::{page, session::keep},
};

#[derive(Template)]
#[template(path = "invitation/welcome.html")]
struct Welcome<'a> {
    link: &'a Link,
}

#[derive(Template)]
#[template(path = "invitation/waiting.html")]
struct Waiting<'a> {
    link: &'a Link,
}

/// Accepts in the name of the invitee, who has just signed in and stays so at this browser; a refusal
/// ends their session. A member who
/// was invited for an application is led there (303), to exactly the address that the organisation
/// service answered for the link: nothing in the request has a say in it.
///
/// Source: `sources/004`, "Invitation workflow".
pub(super) async fn join(gateway: &Gateway, link: &Link, invitee: Auth) -> Result<Response, Stop> {
    let request = AcceptInvitationRequest { id: link.invitation.id.clone(), ..Default::default() };
    let accepted = gateway.invitations(invitee.clone()).accept_invitation(request).await;
    let accepted = match accepted {
        Ok(accepted) => accepted.into_inner().invitation.unwrap_or_default(),
        Err(status) => {
            sign_out(gateway, invitee).await;
            return Err(status.into());
        }
    };
    if !accepted.access_request_id.is_empty() {
        return Ok(keep(gateway, &invitee, page(StatusCode::OK, &Waiting { link })));
    }
    let onward = link.redirect_url.as_deref().map(HeaderValue::from_str);
    let answer = match onward {
        Some(Ok(location)) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        _ => page(StatusCode::OK, &Welcome { link }),
    };
    Ok(keep(gateway, &invitee, answer))
}
