//! The signed-in person.

use api::identity::v1::{GetCurrentUserRequest, User, UserStatus};
use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;

use crate::{bearer::Bearer, clients::Gateway, problem::Problem, timestamp::stamp_of};

pub(crate) fn routes() -> Router<Gateway> {
    Router::new().route("/api/me", get(me))
}

#[derive(Serialize)]
struct Me {
    id: String,
    email: String,
    display_name: String,
    status: &'static str,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// `GET /api/me` → 200.
async fn me(State(gateway): State<Gateway>, bearer: Bearer) -> Result<Json<Me>, Problem> {
    let request = GetCurrentUserRequest {};
    let answer = gateway.users(bearer.into()).get_current_user(request).await?.into_inner();
    let user = answer.user.ok_or_else(Problem::internal)?;
    Ok(Json(user.into()))
}

impl From<User> for Me {
    fn from(user: User) -> Self {
        let status = word(user.status());
        let User { id, email, display_name, status: _, created_at, updated_at } = user;
        let (created_at, updated_at) = (stamp_of(created_at), stamp_of(updated_at));
        Self { id, email, display_name, status, created_at, updated_at }
    }
}

fn word(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Unspecified => "unknown",
        UserStatus::Invited => "invited",
        UserStatus::Active => "active",
        UserStatus::Suspended => "suspended",
        UserStatus::Disposed => "disposed",
    }
}
