//! Organisations and their members.

mod create;
mod get;
mod list;
mod list_members;
mod rename;

use axum::{
    Router,
    routing::{get, post},
};
use serde::Serialize;

use crate::{clients::Gateway, timestamp::stamp_of};

pub(crate) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/api/organisations", post(create::create).get(list::list))
        .route("/api/organisations/{id}", get(get::get).patch(rename::rename))
        .route("/api/organisations/{id}/members", get(list_members::list_members))
}

/// A node in the tree.
#[derive(Serialize)]
struct Organisation {
    id: String,
    /// `null` for a root, and where the caller may not see the parent.
    parent_id: Option<String>,
    display_name: String,
    etag: String,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl From<api::organisation::v1::Organisation> for Organisation {
    fn from(organisation: api::organisation::v1::Organisation) -> Self {
        Self {
            id: organisation.id,
            parent_id: Some(organisation.parent_id).filter(|id| !id.is_empty()),
            display_name: organisation.display_name,
            etag: organisation.etag,
            created_at: stamp_of(organisation.created_at),
            updated_at: stamp_of(organisation.updated_at),
        }
    }
}
