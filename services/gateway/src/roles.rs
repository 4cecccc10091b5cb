//! Roles of organisations and of applications, and the catalogue of permissions.

mod create;
mod delete;
mod get;
mod list;
mod list_permissions;
mod update;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Answer,
    clients::Gateway,
    openapi::Routes,
    problem::Problem,
    timestamp::{Stamp, stamp_of},
};

pub(crate) fn routes() -> Routes<Gateway> {
    let of_organisation = "/api/organisations/{id}/roles";
    let of_application = "/api/applications/{id}/roles";
    Routes::new()
        .get("/api/permissions", list_permissions::list_permissions, list_permissions::about())
        .post(of_organisation, create::of_organisation, create::about())
        .get(of_organisation, list::of_organisation, list::about())
        .post(of_application, create::of_application, create::about())
        .get(of_application, list::of_application, list::about())
        .get("/api/roles/{id}", get::get, get::about())
        .patch("/api/roles/{id}", update::update, update::about())
        .delete("/api/roles/{id}", delete::delete, delete::about())
        .tagged("roles")
}

/// A named set of permissions.
#[derive(Serialize, ToSchema)]
struct Role {
    id: String,
    /// The root of a custom role; `null` for built-in roles and those of applications.
    organisation_id: Option<String>,
    /// The application whose role it is.
    application_id: Option<String>,
    /// What requests call it.
    key: String,
    display_name: String,
    /// Of the catalogue, in its order.
    permissions: Vec<String>,
    /// Whether a service account may invite into it.
    invitable: bool,
    built_in: bool,
    etag: String,
    created_at: Option<Stamp>,
    updated_at: Option<Stamp>,
}

impl From<api::organisation::v1::Role> for Role {
    fn from(role: api::organisation::v1::Role) -> Self {
        Self {
            id: role.id,
            organisation_id: Some(role.organisation_id).filter(|id| !id.is_empty()),
            application_id: Some(role.application_id).filter(|id| !id.is_empty()),
            key: role.key,
            display_name: role.display_name,
            permissions: role.permissions,
            invitable: role.invitable,
            built_in: role.built_in,
            etag: role.etag,
            created_at: stamp_of(role.created_at),
            updated_at: stamp_of(role.updated_at),
        }
    }
}

/// The answer of every endpoint that ends with one role.
fn shown(role: Option<api::organisation::v1::Role>) -> Result<Answer<Role>, Problem> {
    let role = Role::from(role.ok_or_else(Problem::internal)?);
    let etag = role.etag.clone();
    Ok(Answer::of(role).tagged(&etag))
}
