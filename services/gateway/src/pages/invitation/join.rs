use api::{
    identity::v1::{RevokeCurrentSessionRequest, SessionTokens},
    organisation::v1::AcceptInvitationRequest,
};
use askama::Template;
use axum::{http::StatusCode, response::Response};
use service::Auth;

use super::{link::Link, stop::Stop};
use crate::{clients::Gateway, pages::page, problem::Problem};

#[derive(Template)]
#[template(path = "invitation/welcome.html")]
struct Welcome<'a> {
    link: &'a Link,
}

/// Accepts in the name of the invitee, who has just signed in, and then ends their session: it was
/// needed for this alone, and the browser never had it.
pub(super) async fn join(
    gateway: &Gateway,
    link: &Link,
    tokens: Option<SessionTokens>,
) -> Result<Response, Stop> {
    let tokens = tokens.ok_or_else(Problem::internal)?;
    let invitee = Auth::Bearer(tokens.access_token.into());
    let request = AcceptInvitationRequest { id: link.invitation.id.clone(), ..Default::default() };
    let accepted = gateway.invitations(invitee.clone()).accept_invitation(request).await;
    end_session(gateway, invitee).await;
    accepted?;
    Ok(page(StatusCode::OK, &Welcome { link }))
}

/// Should this fail, nobody has the refresh token, and the access token ends by itself in minutes.
async fn end_session(gateway: &Gateway, invitee: Auth) {
    let request = RevokeCurrentSessionRequest {};
    if let Err(status) = gateway.sessions(invitee).revoke_current_session(request).await {
        tracing::warn!(code = ?status.code(), "a session that nobody needs lives on for a while");
    }
}
