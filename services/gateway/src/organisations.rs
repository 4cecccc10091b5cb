//! Organisations: the tree.

mod create;
mod get;
mod list;
mod move_to;
mod policy;
mod preview_move;
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
    Routes::new()
        .post("/api/organisations", create::create, create::about())
        .get("/api/organisations", list::list, list::about())
        .get("/api/organisations/{id}", get::get, get::about())
        .patch("/api/organisations/{id}", update::update, update::about())
        .get(
            "/api/organisations/{id}/move-preview",
            preview_move::preview_move,
            preview_move::about(),
        )
        .post("/api/organisations/{id}/move", move_to::move_to, move_to::about())
        .tagged("organisations")
}

/// A node in the tree.
#[derive(Serialize, ToSchema)]
struct Organisation {
    id: String,
    /// `null` for a root, and where the caller may not see the parent.
    parent_id: Option<String>,
    display_name: String,
    /// Whether it, or an organisation above it, is archived.
    archived: bool,
    /// What invitations into it, and into what is below it, must keep to.
    invitation_policy: policy::InvitationPolicy,
    etag: String,
    created_at: Option<Stamp>,
    updated_at: Option<Stamp>,
}

impl From<api::organisation::v1::Organisation> for Organisation {
    fn from(organisation: api::organisation::v1::Organisation) -> Self {
        Self {
            id: organisation.id,
            parent_id: Some(organisation.parent_id).filter(|id| !id.is_empty()),
            display_name: organisation.display_name,
            archived: organisation.archived,
            invitation_policy: organisation.invitation_policy.unwrap_or_default().into(),
            etag: organisation.etag,
            created_at: stamp_of(organisation.created_at),
            updated_at: stamp_of(organisation.updated_at),
        }
    }
}

/// The answer of every endpoint that ends with one organisation.
fn shown(
    organisation: Option<api::organisation::v1::Organisation>,
) -> Result<Answer<Organisation>, Problem> {
    let organisation = Organisation::from(organisation.ok_or_else(Problem::internal)?);
    let etag = organisation.etag.clone();
    Ok(Answer::of(organisation).tagged(&etag))
}
