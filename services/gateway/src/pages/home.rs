use askama::Template;
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};

use super::page;
use crate::clients::Gateway;

pub(super) fn routes() -> Router<Gateway> {
    Router::new().route("/", get(home))
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    has_mailbox: bool,
}

/// `GET /`: what this is, for whoever comes here without a link.
async fn home(State(gateway): State<Gateway>) -> Response {
    page(StatusCode::OK, &Home { has_mailbox: gateway.has_mailbox })
}
