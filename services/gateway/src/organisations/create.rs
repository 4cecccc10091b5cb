use api::organisation::v1::CreateOrganisationRequest;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};

use super::Organisation;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Object, accept},
    problem::Problem,
};

/// `POST /api/organisations {"display_name", "parent_id"?}` → 201: a root, or a sub-organisation.
///
/// Errors: 403 `PERMISSION_MISSING`, 404 `ORGANISATION_NOT_FOUND`, 409 `DEPTH_EXCEEDED`.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut body: Object,
) -> Result<impl IntoResponse, Problem> {
    let request = CreateOrganisationRequest {
        display_name: body.text("display_name"),
        parent_id: body.text("parent_id"),
        ..Default::default()
    };
    accept([body.fields])?;
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.create_organisation(request).await?.into_inner();
    let organisation = answer.organisation.ok_or_else(Problem::internal)?;
    let location = format!("/api/organisations/{}", organisation.id);
    let created = Organisation::from(organisation);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(created)))
}
