use api::organisation::v1::GetRoleRequest;
use axum::extract::State;

use super::{Role, shown};
use crate::{
    answer::Answer, bearer::Bearer, clients::Gateway, input::Id, openapi::Operation,
    problem::Problem,
};

/// `GET /api/roles/{id}` → 200.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
) -> Result<Answer<Role>, Problem> {
    let answer = gateway.roles(bearer.into()).get_role(GetRoleRequest { id }).await?;
    shown(answer.into_inner().role)
}

pub(super) fn about() -> Operation {
    Operation::new("Read a role", 200).answers::<Role>().tagged().refuses(404, &["ROLE_NOT_FOUND"])
}
