//! What is behind the link of a reminder that stops reminders. Opening it changes nothing (mail scanners
//! open links): only a POST does.

use api::notification::v1::UnsubscribeRequest;
use askama::Template;
use axum::{
    Router,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    response::Response,
    routing::get,
};
use service::Auth;
use tonic::{Code, Status};

use super::page;
use crate::{clients::Gateway, problem::Problem};

pub(super) fn routes() -> Router<Gateway> {
    Router::new().route("/unsubscribe/{token}", get(offer).post(stop))
}

#[derive(Template)]
#[template(path = "unsubscribe/offer.html")]
struct Offer;

#[derive(Template)]
#[template(path = "unsubscribe/done.html")]
struct Done;

/// The token at the end of a link, as it came.
struct Token(String);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let token = Path::<String>::from_request_parts(parts, state).await;
        token.map(|Path(token)| Self(token)).map_err(|_| invalid())
    }
}

/// `GET /unsubscribe/{token}`: what would stop, with a button.
///
/// Errors: 404 for what is no link of ours.
async fn offer(State(gateway): State<Gateway>, token: Token) -> Result<Response, Problem> {
    call(&gateway, token, true).await?;
    Ok(page(StatusCode::OK, &Offer))
}

/// `POST /unsubscribe/{token}`: stops reminders, from the page or by one click in a mail program
/// (RFC 8058, section 3.2). Doing it again changes nothing.
///
/// A mail provider sends it, or a page of its own does: with no cookie, from another site, as whichever
/// kind of form. So unlike every other form it is not refused for being foreign, and its body is not
/// read. That is safe because the token is all the authority that there is: whoever can send the form
/// has the mail, a browser adds nothing to it, and all that it does is to stop reminders.
///
/// Errors: 404 for what is no link of ours.
async fn stop(State(gateway): State<Gateway>, token: Token) -> Result<Response, Problem> {
    call(&gateway, token, false).await?;
    Ok(page(StatusCode::OK, &Done))
}

/// The token is the credential, so it is called in nobody's name.
async fn call(gateway: &Gateway, Token(token): Token, validate_only: bool) -> Result<(), Problem> {
    let request = UnsubscribeRequest { token, validate_only };
    let answer = gateway.suppressions(Auth::Anonymous).unsubscribe(request).await;
    answer.map(|_| ()).map_err(|status: Status| match status.code() {
        Code::NotFound => invalid(),
        _ => status.into(),
    })
}

fn invalid() -> Problem {
    let detail = "This link is not valid. It may have been cut off when it was copied.";
    Problem::new(StatusCode::NOT_FOUND, "LINK_INVALID", detail)
}
