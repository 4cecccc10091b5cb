use api::identity::v1::{CreateSessionRequest, RevokeCurrentSessionRequest, SessionTokens};
use axum::{http::StatusCode, response::Response};
use service::Auth;

use super::{forms, link::Link, stop::Stop};
use crate::{
    clients::Gateway,
    pages::{errors::Errors, form::Form},
    problem::Problem,
};

/// Signs the invitee in for one step, with the address that was invited and no other.
///
/// Errors: the form again, for a wrong password or too many of them, and with the form that fits
/// for somebody who has no password yet.
pub(super) async fn sign_in(gateway: &Gateway, link: &Link, form: &Form) -> Result<Auth, Stop> {
    if !link.is_enrolled {
        let display_name = &link.invitation.display_name;
        let form = forms::enrolment(StatusCode::CONFLICT, link, display_name, Errors::default());
        return Err(form.into());
    }
    if form.text("password").is_empty() {
        return Err(again(link, "Enter your password.").into());
    }
    let request = CreateSessionRequest {
        email: link.invitation.email.clone(),
        password: form.text("password").to_owned(),
    };
    match gateway.sessions(Auth::Anonymous).create_session(request).await {
        Ok(answer) => signed_in(answer.into_inner().tokens),
        Err(status) => Err(refused(link, status.into())),
    }
}

/// Who signed in, or has just enrolled.
pub(super) fn signed_in(tokens: Option<SessionTokens>) -> Result<Auth, Stop> {
    let tokens = tokens.ok_or_else(Problem::internal)?;
    Ok(Auth::Bearer(tokens.access_token.into()))
}

/// Ends the session. Should this fail, nobody has the refresh token, and the access token ends by
/// itself in minutes.
pub(in crate::pages) async fn sign_out(gateway: &Gateway, invitee: Auth) {
    let request = RevokeCurrentSessionRequest {};
    if let Err(status) = gateway.sessions(invitee).revoke_current_session(request).await {
        tracing::warn!(code = ?status.code(), "a session that nobody needs lives on for a while");
    }
}

fn refused(link: &Link, problem: Problem) -> Stop {
    match &*problem.reason {
        // A password that could be none at all is simply a wrong one.
        "CREDENTIALS_INVALID" | "INVALID_ARGUMENT" => {
            again(link, "This is not the password of this address. Try again.").into()
        }
        "TOO_MANY_ATTEMPTS" => forms::sign_in_later(link, &problem).into(),
        _ => problem.into(),
    }
}

fn again(link: &Link, sentence: &str) -> Response {
    let mut errors = Errors::default();
    errors.add("password", sentence);
    forms::sign_in(StatusCode::UNPROCESSABLE_ENTITY, link, errors)
}
