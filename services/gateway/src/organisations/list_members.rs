use api::organisation::v1::{ListMembershipsRequest, Membership};
use axum::{Json, extract::State};
use serde::Serialize;

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Query, accept},
    problem::Problem,
    timestamp::stamp_of,
};

#[derive(Serialize)]
pub(super) struct Page {
    members: Vec<Member>,
    /// Empty on the last page.
    next_page_token: String,
}

/// A user in this organisation.
#[derive(Serialize)]
struct Member {
    organisation_id: String,
    user_id: String,
    email: String,
    display_name: String,
    roles: Vec<String>,
    created_at: Option<String>,
}

/// `GET /api/organisations/{id}/members?page_size=&page_token=` → 200, in order of joining.
///
/// Errors: 403 `PERMISSION_MISSING`, 404 `ORGANISATION_NOT_FOUND`.
pub(super) async fn list_members(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut query: Query,
) -> Result<Json<Page>, Problem> {
    let request = ListMembershipsRequest {
        organisation_id: id,
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
        ..Default::default()
    };
    accept([query.fields])?;
    let mut memberships = gateway.memberships(bearer.into());
    let answer = memberships.list_memberships(request).await;
    let answer =
        answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    let answer = answer.into_inner();
    let members = answer.memberships.into_iter().map(Member::from).collect();
    Ok(Json(Page { members, next_page_token: answer.next_page_token }))
}

impl From<Membership> for Member {
    fn from(membership: Membership) -> Self {
        let Membership { organisation_id, user_id, email, display_name, roles, created_at, .. } =
            membership;
        let created_at = stamp_of(created_at);
        Self { organisation_id, user_id, email, display_name, roles, created_at }
    }
}
