use api::identity::v1::RevokeCurrentSessionRequest;
use axum::{extract::State, http::StatusCode};

use crate::{bearer::Bearer, clients::Gateway, openapi::Operation, problem::Problem};

/// `DELETE /api/sessions/current` → 204: ends the session of the token that asks, at once.
pub(super) async fn revoke(
    State(gateway): State<Gateway>,
    bearer: Bearer,
) -> Result<StatusCode, Problem> {
    let request = RevokeCurrentSessionRequest {};
    gateway.sessions(bearer.into()).revoke_current_session(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn about() -> Operation {
    Operation::new("Sign out", 204)
}
