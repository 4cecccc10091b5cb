use api::identity::v1::CreateSessionRequest;
use axum::{extract::State, http::StatusCode, response::Response};
use service::Auth;

use super::{
    forms::{self, Errors},
    join::join,
    link::{Link, LinkToken},
    stop::Stop,
};
use crate::{clients::Gateway, pages::form::Form, problem::Problem};

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
    if !link.is_enrolled {
        let display_name = &link.invitation.display_name;
        return Ok(forms::enrolment(StatusCode::CONFLICT, &link, display_name, Errors::default()));
    }
    if form.text("password").is_empty() {
        return Ok(again(&link, "Enter your password."));
    }
    let request = CreateSessionRequest {
        email: link.invitation.email.clone(),
        password: form.text("password").to_owned(),
    };
    match gateway.sessions(Auth::Anonymous).create_session(request).await {
        Ok(answer) => join(&gateway, &link, answer.into_inner().tokens).await,
        Err(status) => refused(&link, status.into()),
    }
}

fn refused(link: &Link, problem: Problem) -> Result<Response, Stop> {
    match &*problem.reason {
        // A password that could be none at all is simply a wrong one.
        "CREDENTIALS_INVALID" | "INVALID_ARGUMENT" => {
            Ok(again(link, "This is not the password of this address. Try again."))
        }
        "TOO_MANY_ATTEMPTS" => Ok(forms::sign_in_later(link, &problem)),
        _ => Err(problem.into()),
    }
}

fn again(link: &Link, sentence: &str) -> Response {
    let mut errors = Errors::default();
    errors.add("password", sentence);
    forms::sign_in(StatusCode::UNPROCESSABLE_ENTITY, link, errors)
}
