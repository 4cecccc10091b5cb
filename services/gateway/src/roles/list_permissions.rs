use api::organisation::v1::{ListPermissionsRequest, Permission as Listed};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{bearer::Bearer, clients::Gateway, openapi::Operation, problem::Problem};

/// The catalogue of permissions.
#[derive(Serialize, ToSchema)]
pub(super) struct Permissions {
    permissions: Vec<Permission>,
}

/// Something that one may be allowed to do.
#[derive(Serialize, ToSchema)]
struct Permission {
    /// `noun.verb`.
    #[schema(example = "invitations.create")]
    key: String,
    /// What it allows, as a sentence.
    description: String,
}

/// `GET /api/permissions` → 200: all that there are. Permissions come with Usher, roles are made.
pub(super) async fn list_permissions(
    State(gateway): State<Gateway>,
    bearer: Bearer,
) -> Result<Json<Permissions>, Problem> {
    let request = ListPermissionsRequest {};
    let answer = gateway.roles(bearer.into()).list_permissions(request).await?.into_inner();
    let shown = |Listed { key, description }| Permission { key, description };
    Ok(Json(Permissions { permissions: answer.permissions.into_iter().map(shown).collect() }))
}

pub(super) fn about() -> Operation {
    Operation::new("List the catalogue of permissions", 200).answers::<Permissions>()
}
