use api::organisation::v1::GrantApplicationAccessRequest;
use axum::{Json, extract::State};

use super::ApplicationAccess;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Ids, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `PUT /api/organisations/{id}/applications/{application_id}/access/{user_id} {"roles"?}` → 200:
/// gives a member access, or sets their roles anew.
pub(super) async fn grant_access(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Ids((organisation_id, application_id, user_id)): Ids<(String, String, String)>,
    mut change: Change,
    mut body: Object,
) -> Result<Json<ApplicationAccess>, Problem> {
    change.unconditional();
    let request = GrantApplicationAccessRequest {
        application_id,
        organisation_id,
        user_id,
        roles: body.texts("roles"),
        request_id: change.request_id,
    };
    accept([change.fields, body.fields])?;
    let answer = gateway.applications(bearer.into()).grant_application_access(request).await;
    let answer =
        answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    Ok(Json(answer.into_inner().access.ok_or_else(Problem::internal)?.into()))
}

pub(super) fn about() -> Operation {
    Operation::new("Give a member access to an application", 200)
        .repeatable()
        .body([Field::texts("roles", "The application's roles; none means its default role.")])
        .answers::<ApplicationAccess>()
        .refuses(403, &["PERMISSION_MISSING", "ROLE_NOT_INVITABLE"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "APPLICATION_NOT_FOUND", "MEMBERSHIP_NOT_FOUND"])
        .refuses(409, &["MEMBER_REQUIRED", "ORGANISATION_ARCHIVED"])
}
