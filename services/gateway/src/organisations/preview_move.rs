use api::organisation::v1::{AccessChange as Changed, PreviewOrganisationMoveRequest};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of what a move would change.
#[derive(Serialize, ToSchema)]
pub(super) struct MovePreview {
    changes: Vec<AccessChange>,
    /// Empty on the last page.
    next_page_token: String,
    /// What the move must name: it is the same as long as the tree stays as it is.
    etag: String,
    /// How many organisations would move, itself included.
    organisations: i32,
}

/// Somebody who would gain or lose access.
#[derive(Serialize, ToSchema)]
struct AccessChange {
    subject_id: String,
    email: String,
    display_name: String,
    /// Where their membership is.
    organisation_id: String,
    roles: Vec<String>,
    /// Whether they gain access; else they lose it.
    gains: bool,
}

/// `GET /api/organisations/{id}/move-preview?new_parent_id=` → 200: who would gain and who would
/// lose access by the move; nothing is changed.
pub(super) async fn preview_move(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut query: Query,
) -> Result<Answer<MovePreview>, Problem> {
    let request = PreviewOrganisationMoveRequest {
        id,
        new_parent_id: query.text("new_parent_id"),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.preview_organisation_move(request).await?.into_inner();
    let changes = answer.changes.into_iter().map(AccessChange::from).collect();
    let (next_page_token, etag) = (answer.next_page_token, answer.etag);
    let organisations = answer.organisations;
    Ok(Answer::of(MovePreview { changes, next_page_token, etag, organisations }))
}

impl From<Changed> for AccessChange {
    fn from(change: Changed) -> Self {
        let Changed { subject_id, email, display_name, organisation_id, roles, gains } = change;
        Self { subject_id, email, display_name, organisation_id, roles, gains }
    }
}

pub(super) fn about() -> Operation {
    Operation::new("Preview who gains and who loses access by a move", 200)
        .query([Field::id("new_parent_id", "Where to; without it, it becomes a root.")])
        .query(Field::paging())
        .answers::<MovePreview>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
        .refuses(409, &["MOVE_POINTLESS", "DEPTH_EXCEEDED", "ROLE_LEFT_BEHIND"])
}
