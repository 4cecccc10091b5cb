//! The signed-in person.

use api::identity::v1::{GetCurrentUserRequest, User, UserStatus};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::word_of,
    openapi::{Operation, Routes, words},
    problem::Problem,
    timestamp::{Stamp, stamp_of},
};

pub(crate) fn routes() -> Routes<Gateway> {
    let about = Operation::new("Read who is signed in", 200).answers::<Me>();
    Routes::new().get("/api/me", me, about).tagged("sessions")
}

/// The signed-in person.
#[derive(Serialize, ToSchema)]
struct Me {
    id: String,
    email: String,
    display_name: String,
    #[schema(schema_with = statuses)]
    status: &'static str,
    created_at: Option<Stamp>,
    updated_at: Option<Stamp>,
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
        let status = word_of(user.status(), &STATUSES);
        let User { id, email, display_name, status: _, created_at, updated_at } = user;
        let (created_at, updated_at) = (stamp_of(created_at), stamp_of(updated_at));
        Self { id, email, display_name, status, created_at, updated_at }
    }
}

const STATUSES: [(&str, UserStatus); 4] = [
    ("invited", UserStatus::Invited),
    ("active", UserStatus::Active),
    ("suspended", UserStatus::Suspended),
    ("disposed", UserStatus::Disposed),
];

fn statuses() -> utoipa::openapi::Object {
    words(&STATUSES)
}
