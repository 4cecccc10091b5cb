use api::organisation::v1::RotateCallbackSecretRequest;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, accept},
    openapi::Operation,
    problem::Problem,
};

/// The secret that signs callbacks from now on, answered this once.
#[derive(Serialize, ToSchema)]
pub(super) struct CallbackSecret {
    callback_secret: String,
}

/// `POST /api/applications/{id}/callback-secret` → 200: a new secret; the old one no longer signs.
/// It takes no body.
pub(super) async fn rotate_secret(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
) -> Result<Json<CallbackSecret>, Problem> {
    change.unconditional();
    accept([change.fields])?;
    let request = RotateCallbackSecretRequest { id, request_id: change.request_id };
    let answer = gateway.applications(bearer.into()).rotate_callback_secret(request).await?;
    Ok(Json(CallbackSecret { callback_secret: answer.into_inner().callback_secret }))
}

pub(super) fn about() -> Operation {
    Operation::new("Replace the secret that signs an application's callbacks", 200)
        .repeatable()
        .answers::<CallbackSecret>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["APPLICATION_NOT_FOUND"])
        .refuses(409, &["ORGANISATION_ARCHIVED"])
}
