use api::organisation::v1::GetApplicationRequest;
use axum::extract::State;

use super::{Application, shown};
use crate::{
    answer::Answer, bearer::Bearer, clients::Gateway, input::Id, openapi::Operation,
    problem::Problem,
};

/// `GET /api/applications/{id}` → 200.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
) -> Result<Answer<Application>, Problem> {
    let request = GetApplicationRequest { id };
    let answer = gateway.applications(bearer.into()).get_application(request).await?;
    shown(answer.into_inner().application)
}

pub(super) fn about() -> Operation {
    Operation::new("Read an application", 200)
        .answers::<Application>()
        .tagged()
        .refuses(404, &["APPLICATION_NOT_FOUND"])
}
