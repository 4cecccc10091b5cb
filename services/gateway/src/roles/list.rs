use api::organisation::v1::ListRolesRequest;
use axum::{Json, extract::State};
use serde::Serialize;
use service::Auth;
use utoipa::ToSchema;

use super::Role;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of roles.
#[derive(Serialize, ToSchema)]
pub(super) struct Roles {
    roles: Vec<Role>,
    /// Empty on the last page.
    next_page_token: String,
}

/// `GET /api/organisations/{id}/roles` → 200: the roles that the organisation can give.
pub(super) async fn of_organisation(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(organisation_id): Id,
    query: Query,
) -> Result<Json<Roles>, Problem> {
    let owner = ListRolesRequest { organisation_id, ..ListRolesRequest::default() };
    list(&gateway, bearer.into(), owner, query).await
}

/// `GET /api/applications/{id}/roles` → 200: the roles of an application.
pub(super) async fn of_application(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(application_id): Id,
    query: Query,
) -> Result<Json<Roles>, Problem> {
    let owner = ListRolesRequest { application_id, ..ListRolesRequest::default() };
    list(&gateway, bearer.into(), owner, query).await
}

async fn list(
    gateway: &Gateway,
    auth: Auth,
    owner: ListRolesRequest,
    mut query: Query,
) -> Result<Json<Roles>, Problem> {
    let request = ListRolesRequest {
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
        ..owner
    };
    accept([query.fields])?;
    let answer = gateway.roles(auth).list_roles(request).await.map_err(|status| {
        Problem::from(status).renaming("organisation_id", "id").renaming("application_id", "id")
    })?;
    let answer = answer.into_inner();
    let roles = answer.roles.into_iter().map(Role::from).collect();
    Ok(Json(Roles { roles, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List roles", 200)
        .query(Field::paging())
        .answers::<Roles>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "APPLICATION_NOT_FOUND"])
}
