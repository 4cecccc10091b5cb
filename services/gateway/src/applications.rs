//! Applications, and who has access to them.

mod create;
mod get;
mod grant_access;
mod list;
mod list_access;
mod remove;
mod rotate_secret;
mod update;
mod withdraw_access;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Answer,
    clients::Gateway,
    openapi::{Field, Routes},
    problem::Problem,
    timestamp::{Stamp, stamp_of},
};

pub(crate) fn routes() -> Routes<Gateway> {
    let (all, one) = ("/api/organisations/{id}/applications", "/api/applications/{id}");
    let secret = "/api/applications/{id}/callback-secret";
    let access = "/api/organisations/{id}/applications/{application_id}/access";
    let access_of = "/api/organisations/{id}/applications/{application_id}/access/{user_id}";
    Routes::new()
        .post(all, create::create, create::about())
        .get(all, list::list, list::about())
        .get(one, get::get, get::about())
        .patch(one, update::update, update::about())
        .delete(one, remove::remove, remove::about())
        .post(secret, rotate_secret::rotate_secret, rotate_secret::about())
        .get(access, list_access::list_access, list_access::about())
        .put(access_of, grant_access::grant_access, grant_access::about())
        .delete(access_of, withdraw_access::withdraw_access, withdraw_access::about())
        .tagged("applications")
}

/// A service instance run by an organisation.
#[derive(Serialize, ToSchema)]
struct Application {
    id: String,
    organisation_id: String,
    display_name: String,
    /// An invitation that names the application leads its person to the first one.
    redirect_urls: Vec<String>,
    /// Hosts that invitations may name in `callback_url`.
    callback_hosts: Vec<String>,
    /// The role of access that names none.
    default_role: String,
    /// Whether accepting an invitation that names the application gives access to it.
    assign_on_invite: bool,
    etag: String,
    created_at: Option<Stamp>,
    updated_at: Option<Stamp>,
}

impl From<api::organisation::v1::Application> for Application {
    fn from(application: api::organisation::v1::Application) -> Self {
        Self {
            id: application.id,
            organisation_id: application.organisation_id,
            display_name: application.display_name,
            redirect_urls: application.redirect_urls,
            callback_hosts: application.callback_hosts,
            default_role: application.default_role,
            assign_on_invite: application.assign_on_invite,
            etag: application.etag,
            created_at: stamp_of(application.created_at),
            updated_at: stamp_of(application.updated_at),
        }
    }
}

/// A member's access to an application.
#[derive(Serialize, ToSchema)]
struct ApplicationAccess {
    application_id: String,
    /// The organisation that they have it as a member of.
    organisation_id: String,
    user_id: String,
    email: String,
    display_name: String,
    /// Keys of the application's roles, sorted.
    roles: Vec<String>,
    created_at: Option<Stamp>,
}

impl From<api::organisation::v1::ApplicationAccess> for ApplicationAccess {
    fn from(access: api::organisation::v1::ApplicationAccess) -> Self {
        Self {
            application_id: access.application_id,
            organisation_id: access.organisation_id,
            user_id: access.user_id,
            email: access.email,
            display_name: access.display_name,
            roles: access.roles,
            created_at: stamp_of(access.created_at),
        }
    }
}

/// The answer of every endpoint that ends with one application.
fn shown(
    application: Option<api::organisation::v1::Application>,
) -> Result<Answer<Application>, Problem> {
    let application = Application::from(application.ok_or_else(Problem::internal)?);
    let etag = application.etag.clone();
    Ok(Answer::of(application).tagged(&etag))
}

/// The members that creating and changing have in common.
fn fields() -> [Field; 4] {
    [
        Field::texts("redirect_urls", "Absolute https URLs; an invitation leads to the first one."),
        Field::texts("callback_hosts", "Hosts that invitations may name in `callback_url`."),
        Field::text("default_role", "The role of access that names none; `user` if left out."),
        Field::flag("assign_on_invite", "Whether accepting an invitation for it gives access."),
    ]
}
