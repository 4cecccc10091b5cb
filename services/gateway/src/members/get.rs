use api::organisation::v1::GetMembershipRequest;
use axum::extract::State;

use super::{Member, named, shown};
use crate::{
    answer::Answer, bearer::Bearer, clients::Gateway, input::Ids, openapi::Operation,
    problem::Problem,
};

/// `GET /api/organisations/{id}/members/{user_id}` → 200; `me` names the caller.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Ids((organisation_id, user_id)): Ids<(String, String)>,
) -> Result<Answer<Member>, Problem> {
    let request = GetMembershipRequest { organisation_id, user_id: named(user_id) };
    let answer = gateway.memberships(bearer.into()).get_membership(request).await;
    let answer =
        answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    shown(answer.into_inner().membership)
}

pub(super) fn about() -> Operation {
    Operation::new("Read a member; `me` names the caller", 200)
        .answers::<Member>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "MEMBERSHIP_NOT_FOUND"])
}
