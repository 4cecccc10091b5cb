use api::organisation::v1::MoveOrganisationRequest;
use axum::extract::State;

use super::{Organisation, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/organisations/{id}/move {"new_parent_id", "etag"}` → 200: moves it, with all below it.
/// The etag is that of a preview, so that nobody moves what they have not looked at.
pub(super) async fn move_to(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Organisation>, Problem> {
    change.unconditional();
    let request = MoveOrganisationRequest {
        id,
        new_parent_id: body.text("new_parent_id"),
        etag: body.text("etag"),
        request_id: change.request_id,
    };
    accept([change.fields, body.fields])?;
    let mut organisations = gateway.organisations(bearer.into());
    shown(organisations.move_organisation(request).await?.into_inner().organisation)
}

pub(super) fn about() -> Operation {
    Operation::new("Move an organisation with all below it", 200)
        .repeatable()
        .body([
            Field::id("new_parent_id", "Where to; null makes it a root.").nullable(),
            Field::text("etag", "From the preview.").required(),
        ])
        .answers::<Organisation>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
        .refuses(409, &["ETAG_MISMATCH", "MOVE_POINTLESS", "DEPTH_EXCEEDED", "ROLE_LEFT_BEHIND"])
        .refuses(409, &["ORGANISATION_ARCHIVED"])
}
