use api::organisation::v1::CreateOrganisationRequest;
use axum::extract::State;

use super::{Organisation, policy};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/organisations {"display_name", "parent_id"?, "invitation_policy"?}` → 201: a root, or
/// a sub-organisation.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Organisation>, Problem> {
    change.unconditional();
    let request = CreateOrganisationRequest {
        display_name: body.text("display_name"),
        parent_id: body.text("parent_id"),
        invitation_policy: policy::read(&mut body).map(|(policy, _)| policy),
        request_id: change.request_id,
    };
    accept([change.fields, body.fields])?;
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.create_organisation(request).await?.into_inner();
    let created = Organisation::from(answer.organisation.ok_or_else(Problem::internal)?);
    let (path, etag) = (format!("/api/organisations/{}", created.id), created.etag.clone());
    Ok(Answer::created(created, path).tagged(&etag))
}

pub(super) fn about() -> Operation {
    Operation::new("Create a root organisation, or one below another", 201)
        .repeatable()
        .body([
            Field::text("display_name", "1 to 200 characters.").required(),
            Field::id("parent_id", "The organisation above; without it, it is a root.").nullable(),
            policy::field(),
        ])
        .answers::<Organisation>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
        .refuses(409, &["DEPTH_EXCEEDED", "ORGANISATION_ARCHIVED"])
}
