use api::organisation::v1::CreateRoleRequest;
use axum::extract::State;
use service::Auth;

use super::Role;
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/organisations/{id}/roles {"key", …}` → 201: a custom role of a root.
pub(super) async fn of_organisation(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(organisation_id): Id,
    change: Change,
    body: Object,
) -> Result<Answer<Role>, Problem> {
    let owner = CreateRoleRequest { organisation_id, ..CreateRoleRequest::default() };
    create(&gateway, bearer.into(), owner, change, body).await
}

/// `POST /api/applications/{id}/roles {"key", …}` → 201: a role of an application.
pub(super) async fn of_application(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(application_id): Id,
    change: Change,
    body: Object,
) -> Result<Answer<Role>, Problem> {
    let owner = CreateRoleRequest { application_id, ..CreateRoleRequest::default() };
    create(&gateway, bearer.into(), owner, change, body).await
}

async fn create(
    gateway: &Gateway,
    auth: Auth,
    owner: CreateRoleRequest,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Role>, Problem> {
    change.unconditional();
    let request = CreateRoleRequest {
        key: body.text("key"),
        display_name: body.text("display_name"),
        permissions: body.texts("permissions"),
        invitable: body.flag("invitable"),
        request_id: change.request_id,
        ..owner
    };
    accept([change.fields, body.fields])?;
    let answer = gateway.roles(auth).create_role(request).await.map_err(|status| {
        Problem::from(status).renaming("organisation_id", "id").renaming("application_id", "id")
    })?;
    let role = Role::from(answer.into_inner().role.ok_or_else(Problem::internal)?);
    let (path, etag) = (format!("/api/roles/{}", role.id), role.etag.clone());
    Ok(Answer::created(role, path).tagged(&etag))
}

pub(super) fn about() -> Operation {
    Operation::new("Create a role", 201)
        .repeatable()
        .body([
            Field::text("key", "A letter, then up to 63 letters, digits, hyphens, underscores.")
                .required(),
            Field::text("display_name", "The key if it is left out."),
            Field::texts("permissions", "Of the catalogue; an application's role has none."),
            Field::flag("invitable", "Whether a service account may invite into it."),
        ])
        .answers::<Role>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "APPLICATION_NOT_FOUND"])
        .refuses(409, &["ROLE_EXISTS", "ORGANISATION_ARCHIVED"])
}
