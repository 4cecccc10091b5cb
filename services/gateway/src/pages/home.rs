use api::identity::v1::GetCurrentUserRequest;
use askama::Template;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};

use super::{
    page,
    session::{Session, sign_out},
};
use crate::clients::Gateway;

pub(super) fn routes() -> Router<Gateway> {
    Router::new().route("/", get(home)).route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    has_mailbox: bool,
    /// The name of whoever is signed in.
    person: Option<String>,
}

/// `GET /`: what this is, for whoever comes here without a link; and who is signed in.
async fn home(State(gateway): State<Gateway>, Session(session): Session) -> Response {
    let person = match session {
        Some(session) => {
            let user = gateway.users(session).get_current_user(GetCurrentUserRequest {}).await;
            // A session that is over is none: the page is the one for everybody.
            user.ok().and_then(|answer| answer.into_inner().user)
        }
        None => None,
    };
    let person = person.map(|user| user.display_name);
    page(StatusCode::OK, &Home { has_mailbox: gateway.has_mailbox, person })
}
