use api::organisation::v1::RemoveApplicationRequest;
use axum::{extract::State, http::StatusCode};

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, accept},
    openapi::Operation,
    problem::Problem,
};

/// `DELETE /api/applications/{id}` → 204: with everybody's access to it.
pub(super) async fn remove(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
) -> Result<StatusCode, Problem> {
    change.unconditional();
    accept([change.fields])?;
    let request = RemoveApplicationRequest { id, request_id: change.request_id };
    gateway.applications(bearer.into()).remove_application(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn about() -> Operation {
    Operation::new("Remove an application with everybody's access to it", 204)
        .repeatable()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["APPLICATION_NOT_FOUND"])
        .refuses(409, &["ORGANISATION_ARCHIVED"])
}
