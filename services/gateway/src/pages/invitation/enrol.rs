use api::identity::v1::{EnrolUserRequest, EnrolUserResponse};
use axum::{extract::State, http::StatusCode, response::Response};
use kernel::DisplayName;
use service::Auth;

use super::{
    forms,
    join::join,
    link::{Link, LinkToken},
    sign_in::signed_in,
    stop::{DeadEnd, Stop},
};
use crate::{
    clients::Gateway,
    pages::{errors::Errors, form::Form},
    problem::Problem,
};

/// `POST /invitations/{token}/enrol`: gives the invitee a name and a password, and makes them a
/// member.
///
/// Errors: 422 with the form, every error at once and the name as it was typed; 409 with the
/// sign-in form for somebody who has enrolled before; the pages of [`super::open`].
pub(super) async fn enrol(
    State(gateway): State<Gateway>,
    token: LinkToken,
    form: Form,
) -> Result<Response, Stop> {
    let link = Link::read(&gateway, token).await?;
    if link.is_enrolled {
        return Ok(forms::sign_in_instead(&link));
    }
    let display_name = form.text("display_name");
    let errors = check(&form);
    if !errors.is_empty() {
        return Ok(again(&link, display_name, errors));
    }
    let request = EnrolUserRequest {
        link_token: link.token.clone(),
        display_name: display_name.to_owned(),
        password: form.text("password").to_owned(),
    };
    let answer = match gateway.users(Auth::Anonymous).enrol_user(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return refused(&link, display_name, status.into()),
    };
    let EnrolUserResponse { user: _, tokens } = answer;
    let invitee = signed_in(tokens)?;
    join(&gateway, &link, invitee).await.map_err(|stop| match stop {
        Stop::Failed(mut problem) => {
            problem.detail = "Your password is set, but joining did not finish. Open the link in \
                              your mail again and sign in with your new password."
                .into();
            Stop::Failed(problem)
        }
        other => other,
    })
}

/// What can be said before anything is changed, so that it comes with all the rest: that the two
/// passwords differ is known here alone.
fn check(form: &Form) -> Errors {
    let mut errors = Errors::default();
    if form.text("display_name").trim().is_empty() {
        errors.add("display_name", "Enter your name.");
    } else if DisplayName::parse(form.text("display_name")).is_err() {
        let sentence = "Enter a name of at most 200 characters, without control characters.";
        errors.add("display_name", sentence);
    }
    let password = form.text("password");
    match password.chars().count() {
        0 => errors.add("password", "Choose a password."),
        1..15 => errors.add("password", "Choose a password of at least 15 characters."),
        15..=128 => {}
        _ => errors.add("password", "Choose a password of at most 128 characters."),
    }
    if password != form.text("password_again") {
        errors.add("password_again", "Enter the same password twice.");
    }
    errors
}

/// The service knows more, such as which passwords are too common.
fn refused(link: &Link, display_name: &str, problem: Problem) -> Result<Response, Stop> {
    if problem.reason == "ALREADY_ENROLLED" {
        return Ok(forms::sign_in_instead(link));
    }
    if problem.errors.iter().any(|error| error.field == "link_token") {
        return Err(DeadEnd::Invalid.into());
    }
    let mut errors = Errors::default();
    for error in &problem.errors {
        let what = &error.description;
        match error.field.as_str() {
            "display_name" => {
                errors.add("display_name", format_args!("Enter another name: {what}."))
            }
            "password" => errors.add("password", format_args!("Choose another password: {what}.")),
            _ => {}
        }
    }
    if errors.is_empty() { Err(problem.into()) } else { Ok(again(link, display_name, errors)) }
}

fn again(link: &Link, display_name: &str, errors: Errors) -> Response {
    forms::enrolment(StatusCode::UNPROCESSABLE_ENTITY, link, display_name, errors)
}
