//! The form by which a signed-in person invites somebody, where no application has one of its own.
//!
//! Source: `sources/004`, "Invitation requirements": form entry.

mod choose;
mod create;
mod offer;

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tonic::Status;

use super::session::to_sign_in;
use crate::{clients::Gateway, problem::Problem};

pub(super) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/invite", get(choose::choose))
        .route("/invite/{organisation_id}", get(create::show).post(create::create))
}

/// Why there is no form.
#[derive(Debug)]
enum Stop {
    /// The session is over.
    SignIn,
    Failed(Box<Problem>),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Problem::from(status).into()
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        match problem.status {
            StatusCode::UNAUTHORIZED => Self::SignIn,
            _ => Self::Failed(Box::new(problem)),
        }
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn => to_sign_in(),
            Self::Failed(problem) => problem.into_response(),
        }
    }
}
