use api::organisation::v1::GetOrganisationRequest;
use axum::extract::State;

use super::{Organisation, shown};
use crate::{
    answer::Answer, bearer::Bearer, clients::Gateway, input::Id, openapi::Operation,
    problem::Problem,
};

/// `GET /api/organisations/{id}` → 200. What the caller may not see answers like what is not there.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
) -> Result<Answer<Organisation>, Problem> {
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.get_organisation(GetOrganisationRequest { id }).await?.into_inner();
    shown(answer.organisation)
}

pub(super) fn about() -> Operation {
    Operation::new("Read an organisation", 200)
        .answers::<Organisation>()
        .tagged()
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
}
