use api::organisation::v1::{Organisation as Changed, UpdateOrganisationRequest};
use axum::{Json, extract::State};
use prost_types::FieldMask;

use super::Organisation;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Object, accept},
    problem::Problem,
};

/// `PATCH /api/organisations/{id} {"display_name", "etag"?}` → 200: gives it another name. With an
/// `etag`, only if it has not changed since that was read.
///
/// Errors: 403 `PERMISSION_MISSING`, 404 `ORGANISATION_NOT_FOUND`, 409 `ETAG_MISMATCH`.
pub(super) async fn rename(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut body: Object,
) -> Result<Json<Organisation>, Problem> {
    let (display_name, etag) = (body.text("display_name"), body.text("etag"));
    accept([body.fields])?;
    let request = UpdateOrganisationRequest {
        organisation: Some(Changed { id, display_name, etag, ..Changed::default() }),
        update_mask: Some(FieldMask { paths: vec!["display_name".to_owned()] }),
        ..Default::default()
    };
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.update_organisation(request).await;
    let answer = answer.map_err(|status| Problem::from(status).renaming("organisation.", ""))?;
    let organisation = answer.into_inner().organisation.ok_or_else(Problem::internal)?;
    Ok(Json(organisation.into()))
}
