use api::organisation::v1::WithdrawApplicationAccessRequest;
use axum::{extract::State, http::StatusCode};

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Ids, accept},
    openapi::Operation,
    problem::Problem,
};

/// `DELETE /api/organisations/{id}/applications/{application_id}/access/{user_id}` → 204; twice is
/// once.
pub(super) async fn withdraw_access(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Ids((organisation_id, application_id, user_id)): Ids<(String, String, String)>,
    mut change: Change,
) -> Result<StatusCode, Problem> {
    change.unconditional();
    accept([change.fields])?;
    let request_id = change.request_id;
    let request =
        WithdrawApplicationAccessRequest { application_id, organisation_id, user_id, request_id };
    let answer = gateway.applications(bearer.into()).withdraw_application_access(request).await;
    answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn about() -> Operation {
    Operation::new("Take a member's access to an application away", 204)
        .repeatable()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "APPLICATION_NOT_FOUND"])
        .refuses(409, &["ORGANISATION_ARCHIVED"])
}
