use api::organisation::v1::RemoveMembershipRequest;
use axum::{extract::State, http::StatusCode};

use super::named;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Ids, accept},
    openapi::Operation,
    problem::Problem,
};

/// `DELETE /api/organisations/{id}/members/{user_id}` → 204: ends the membership, with what it
/// gives; the account stays. `me` names the caller, who leaves.
pub(super) async fn remove(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Ids((organisation_id, user_id)): Ids<(String, String)>,
    mut change: Change,
) -> Result<StatusCode, Problem> {
    change.unconditional();
    accept([change.fields])?;
    let user_id = named(user_id);
    let request =
        RemoveMembershipRequest { organisation_id, user_id, request_id: change.request_id };
    let answer = gateway.memberships(bearer.into()).remove_membership(request).await;
    answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn about() -> Operation {
    Operation::new("Remove a member; `me` leaves", 204)
        .repeatable()
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "MEMBERSHIP_NOT_FOUND"])
        .refuses(409, &["LAST_OWNER", "ORGANISATION_ARCHIVED"])
}
