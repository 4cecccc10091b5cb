//! What a person sees. Pages work without JavaScript, because there is none.

mod errors;
mod failure;
mod form;
mod home;
mod invitation;
mod invite;
mod session;
mod sign_in;
mod style;
mod unsubscribe;

use askama::Template;
use axum::{
    Router,
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};

pub(crate) use failure::speak;

use crate::{clients::Gateway, problem::Problem};

pub(crate) fn routes() -> Router<Gateway> {
    Router::new()
        .merge(home::routes())
        .merge(style::routes())
        .merge(sign_in::routes())
        .merge(invite::routes())
        .merge(invitation::routes())
        .merge(unsubscribe::routes())
}

/// A page. Askama escapes every value that a template shows.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            Problem::internal().into_response()
        }
    }
}
