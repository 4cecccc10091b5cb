use api::organisation::v1::DeleteRoleRequest;
use axum::{extract::State, http::StatusCode};

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `DELETE /api/roles/{id}?replacement=` → 204. Whoever holds the role, or is offered it, gets the
/// replacement.
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut query: Query,
) -> Result<StatusCode, Problem> {
    change.unconditional();
    let replacement = query.text("replacement");
    accept([change.fields, query.fields])?;
    let request = DeleteRoleRequest { id, replacement, request_id: change.request_id };
    gateway.roles(bearer.into()).delete_role(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn about() -> Operation {
    Operation::new("Delete a role", 204)
        .repeatable()
        .query([Field::text(
            "replacement",
            "The key of another role of the same root or application; needed while the role is in use.",
        )])
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED"])
        .refuses(404, &["ROLE_NOT_FOUND"])
        .refuses(409, &["ROLE_HELD", "ROLE_BUILT_IN", "ORGANISATION_ARCHIVED"])
}
