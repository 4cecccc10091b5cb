//! Signing in at this browser, without a link.

use api::identity::v1::CreateSessionRequest;
use askama::Template;
use axum::{
    Router,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{LOCATION, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use service::Auth;

use super::{
    errors::{Errors, written},
    form::Form,
    page,
    session::keep,
};
use crate::{clients::Gateway, problem::Problem};

pub(super) fn routes() -> Router<Gateway> {
    Router::new().route("/sign-in", get(show).post(sign_in))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    email: &'a str,
    errors: Errors,
}

/// `GET /sign-in`.
async fn show() -> Response {
    page(StatusCode::OK, &SignIn { email: "", errors: Errors::default() })
}

/// `POST /sign-in`: signs a person in, who then stays so at this browser for ten minutes.
///
/// Errors: 422 with the form for what is missing and for a wrong password, which is told like an
/// unknown address; 429 with the form and the time to try again.
async fn sign_in(State(gateway): State<Gateway>, form: Form) -> Result<Response, Problem> {
    let (email, password) = (form.text("email").trim(), form.text("password"));
    let mut errors = Errors::default();
    if email.is_empty() {
        errors.add("email", "Enter your address.");
    }
    if password.is_empty() {
        errors.add("password", "Enter your password.");
    }
    if !errors.is_empty() {
        return Ok(again(StatusCode::UNPROCESSABLE_ENTITY, email, errors));
    }
    let request = CreateSessionRequest { email: email.to_owned(), password: password.to_owned() };
    let answer = match gateway.sessions(Auth::Anonymous).create_session(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return refused(email, status.into()),
    };
    let tokens = answer.tokens.ok_or_else(Problem::internal)?;
    let home = (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static("/"))]);
    Ok(keep(&gateway, &Auth::Bearer(tokens.access_token.into()), home.into_response()))
}

fn refused(email: &str, problem: Problem) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    match &*problem.reason {
        // An address or a password that could be none at all is simply a wrong one.
        "CREDENTIALS_INVALID" | "INVALID_ARGUMENT" => {
            errors.add("password", "This address and this password do not belong together.");
            Ok(again(StatusCode::UNPROCESSABLE_ENTITY, email, errors))
        }
        "TOO_MANY_ATTEMPTS" => {
            let seconds = problem.retry_after_seconds().unwrap_or(1);
            let wait = written(seconds);
            let sentence = format_args!("There were too many attempts. Try again in {wait}.");
            errors.add("password", sentence);
            let mut answer = again(StatusCode::TOO_MANY_REQUESTS, email, errors);
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            Ok(answer)
        }
        _ => Err(problem),
    }
}

fn again(status: StatusCode, email: &str, errors: Errors) -> Response {
    page(status, &SignIn { email, errors })
}
