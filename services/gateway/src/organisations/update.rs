use api::organisation::v1::{
    ArchiveOrganisationRequest, Organisation as Changed, RestoreOrganisationRequest,
    UpdateOrganisationRequest,
};
use axum::extract::State;
use prost_types::FieldMask;
use serde_json::json;
use service::Auth;

use super::{Organisation, policy, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `PATCH /api/organisations/{id}` → 200. `{"display_name"?, "invitation_policy"?}` changes what is
/// there (of the policy its members; `null` takes it away), and with an `etag` only if nothing has
/// changed since. `{"archived": true | false}` archives or restores, and stands alone.
pub(super) async fn update(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Organisation>, Problem> {
    if !body.given(&["archived"]).is_empty() {
        return archive(&gateway, bearer.into(), id, change, body).await;
    }
    let mut paths = body.changes(&["display_name", "invitation_policy"]);
    let policy = policy::read(&mut body);
    let invitation_policy = policy.map(|(policy, given)| {
        paths.retain(|path| path != "invitation_policy");
        paths.extend(given.into_iter().map(|member| format!("invitation_policy.{member}")));
        policy
    });
    let display_name = body.text("display_name");
    let etag = change.etag(body.text("etag"));
    let changed = Changed { id, display_name, etag, invitation_policy, ..Changed::default() };
    accept([std::mem::take(&mut change.fields), body.fields])?;
    let request = UpdateOrganisationRequest {
        organisation: Some(changed),
        update_mask: Some(FieldMask { paths }),
        request_id: change.request_id.clone(),
    };
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.update_organisation(request).await;
    let answer = answer.map_err(|status| change.refused(status).renaming("organisation.", ""))?;
    shown(answer.into_inner().organisation)
}

async fn archive(
    gateway: &Gateway,
    auth: Auth,
    id: String,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Organisation>, Problem> {
    change.unconditional();
    body.alone("archived", &["display_name", "invitation_policy", "etag"]);
    let archived = body.flag("archived");
    accept([change.fields, body.fields])?;
    let mut organisations = gateway.organisations(auth);
    let request_id = change.request_id;
    if archived {
        let request = ArchiveOrganisationRequest { id, request_id };
        shown(organisations.archive_organisation(request).await?.into_inner().organisation)
    } else {
        let request = RestoreOrganisationRequest { id, request_id };
        shown(organisations.restore_organisation(request).await?.into_inner().organisation)
    }
}

pub(super) fn about() -> Operation {
    Operation::new("Change an organisation, archive it, or restore it", 200)
        .repeatable()
        .conditional()
        .body([
            Field::text("display_name", "1 to 200 characters."),
            policy::field(),
            Field::text("etag", "The version that the change is meant for, as `If-Match`."),
            Field::flag("archived", "Archives or restores; without other members."),
        ])
        .body_example(json!({"display_name": "ABC Holdings", "etag": "3"}))
        .answers::<Organisation>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
        .refuses(409, &["ORGANISATION_ARCHIVED"])
}
