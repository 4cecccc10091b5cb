use api::organisation::v1::GetOrganisationRequest;
use axum::{Json, extract::State};

use super::Organisation;
use crate::{bearer::Bearer, clients::Gateway, input::Id, problem::Problem};

/// `GET /api/organisations/{id}` → 200.
///
/// Errors: 404 `ORGANISATION_NOT_FOUND`, also for what the caller may not see.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
) -> Result<Json<Organisation>, Problem> {
    let mut organisations = gateway.organisations(bearer.into());
    let request = GetOrganisationRequest { id };
    let answer = organisations.get_organisation(request).await?.into_inner();
    let organisation = answer.organisation.ok_or_else(Problem::internal)?;
    Ok(Json(organisation.into()))
}
